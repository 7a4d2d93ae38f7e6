/**
 * Every word people see, in English and Chinese side by side.
 *
 * Owns the texts and which language is spoken. Must never make markup: texts are texts. `{name}`
 * stands for what is given by that name.
 */

const TEXTS = {
  skip: ['Skip to the contents', '跳到内容'],
  'nav.sections': ['Sections', '分区'],
  'language.other': ['中文', 'English'],
  'language.switch': ['Switch to Chinese', '切换到英文'],
  'theme.auto': ['Colours: as the system', '配色：跟随系统'],
  'theme.light': ['Colours: light', '配色：浅色'],
  'theme.dark': ['Colours: dark', '配色：深色'],
  'leave.button': ['Sign out', '退出登录'],

  'signIn.title': ['Sign in', '登录'],
  'signIn.hint': [
    'Paste an API token. The first one was printed by “fluxhybrid serve” at its first start.',
    '请粘贴 API 令牌。首个令牌在首次运行 “fluxhybrid serve” 时显示。',
  ],
  'signIn.token': ['API token', 'API 令牌'],
  'signIn.remember': ['Remember it on this device', '在此设备上记住'],
  'signIn.button': ['Sign in', '登录'],
  'signIn.busy': ['Checking…', '正在验证…'],
  'signIn.empty': ['Paste a token first.', '请先粘贴令牌。'],
  'signIn.shape': [
    'This is no token: it has characters that no token has. Copy it again, without what stands around it.',
    '这不是令牌：含有令牌中不会出现的字符。请重新复制，不要带上前后的内容。',
  ],
  'signIn.wrong': [
    'The token is wrong, expired or revoked. Use one that was issued by this server.',
    '令牌错误、已过期或已被撤销。请使用由本服务器签发的令牌。',
  ],
  'signIn.over': [
    'The token is not accepted any more: it expired or was revoked. Sign in with another one.',
    '令牌已失效：已过期或已被撤销。请使用其他令牌登录。',
  ],
  'signIn.tooMany': [
    'Too many wrong tokens came from this address. Try again in {seconds} s.',
    '此地址提交了过多错误令牌。请在 {seconds} 秒后重试。',
  ],
  'signIn.unreachable': [
    'The server cannot be reached. Is it running?',
    '无法连接服务器。它在运行吗？',
  ],
  'signIn.failed': ['The server answered with an error: {detail}', '服务器返回错误：{detail}'],

  'link.connecting': ['Connecting…', '正在连接…'],
  'link.live': ['Live', '实时'],
  'link.waiting': ['Reconnecting in {seconds} s', '{seconds} 秒后重新连接'],
  'link.offline': ['No network', '无网络'],
  'link.paused': ['Paused', '已暂停'],
  'link.skipped': [
    '{count} events skipped: more came than this page can show',
    '跳过 {count} 个事件：超出本页面的显示能力',
  ],

  'vitals.title': ['Engine', '引擎'],
  'vitals.in': ['Messages in', '流入消息'],
  'vitals.out': ['Messages out', '流出消息'],
  'vitals.lag': ['Lag', '积压'],
  'vitals.lagUnit': ['records', '条'],
  'vitals.devices': ['Devices online', '在线设备'],
  'vitals.disk': ['Log on disk', '磁盘日志'],
  'vitals.diskFree': ['{bytes} free', '剩余 {bytes}'],
  'vitals.memory': ['Memory', '内存'],
  'vitals.up': ['up {age}', '已运行 {age}'],
  'vitals.perSecond': ['/s', '/秒'],
  'vitals.ofDevices': ['of {count}', '共 {count}'],
  'vitals.clients': ['{count} clients', '{count} 个客户端'],
  'vitals.failing': ['The engine is not well: {why}', '引擎异常：{why}'],
  'vitals.full': [
    'The disk is full: messages are refused until there is room.',
    '磁盘已满：在腾出空间前将拒绝消息。',
  ],
  'vitals.undurable': [
    'Durability is off: a power cut loses messages that were acknowledged.',
    '持久化已关闭：断电会丢失已确认的消息。',
  ],
  'vitals.generations': [
    'The configuration in force ({inForce}) is not the one that is stored ({stored}).',
    '生效的配置（{inForce}）与已保存的配置（{stored}）不一致。',
  ],
  'vitals.stopped': ['its log stopped: {why}', '日志已停止：{why}'],
  'vitals.threads': ['a part of it has ended', '部分组件已终止'],

  'devices.title': ['Devices', '设备'],
  'devices.search': ['Search devices', '搜索设备'],
  'devices.all': ['All', '全部'],
  'devices.online': ['Online', '在线'],
  'devices.offline': ['Offline', '离线'],
  'devices.show': ['Which devices', '显示哪些设备'],
  'devices.none': [
    'No devices yet. Add one with POST /api/v1/devices.',
    '还没有设备。请用 POST /api/v1/devices 添加。',
  ],
  'devices.noMatch': ['No device matches.', '没有匹配的设备。'],
  'devices.silent': ['no values yet', '尚无数据'],
  'devices.disabled': ['disabled', '已停用'],
  'devices.more': ['+{count}', '+{count}'],
  'devices.moreThan': ['The first {count} are shown.', '仅显示前 {count} 个。'],
  'devices.open': ['Show {name}', '查看 {name}'],

  'device.values': ['Values', '数据'],
  'device.value': ['Value', '数值'],
  'device.name': ['Name', '名称'],
  'device.age': ['Age', '时间'],
  'device.firings': ['Firings', '触发记录'],
  'device.commands': ['Commands', '命令'],
  'device.product': ['Product', '产品'],
  'device.lastOnline': ['Last online', '最近在线'],
  'device.tags': ['Tags', '标签'],
  'device.curve': ['Curve of', '曲线'],
  'device.range': ['Time shown', '时间范围'],
  'device.live': ['5 min', '5 分钟'],
  'device.hour': ['1 h', '1 小时'],
  'device.day': ['24 h', '24 小时'],
  'device.week': ['7 d', '7 天'],
  'device.noCurve': ['No numbers to draw yet.', '还没有可绘制的数值。'],
  'device.noHistory': ['No history for this time.', '该时段没有历史数据。'],
  'device.summary': [
    '{name}: now {last}, from {min} to {max} in this time',
    '{name}：当前 {last}，此时段内 {min} 至 {max}',
  ],
  'device.none': ['none', '无'],

  'alarms.title': ['Alarms', '告警'],
  'alarms.open': ['Open', '未结束'],
  'alarms.all': ['All', '全部'],
  'alarms.which': ['Which alarms', '显示哪些告警'],
  'alarms.quiet': ['No open alarms', '没有未结束的告警'],
  'alarms.none': ['No alarms yet', '还没有告警'],
  'alarms.acknowledge': ['Acknowledge', '确认'],
  'alarms.clear': ['Clear', '清除'],
  'alarms.acknowledgeOf': ['Acknowledge {alarm} of {device}', '确认 {device} 的 {alarm}'],
  'alarms.clearOf': ['Clear {alarm} of {device}', '清除 {device} 的 {alarm}'],
  'alarms.raised': ['raised {time}', '{time} 发生'],
  'alarms.times': ['×{count}', '×{count}'],
  'alarms.acknowledged': ['acknowledged by {who}, {time}', '{who} 于 {time} 确认'],
  'alarms.cleared': ['cleared by {who}, {time}', '{who} 于 {time} 清除'],
  'alarms.clearedByRule': ['cleared by a rule, {time}', '规则于 {time} 清除'],
  'alarms.failed': ['The alarm was not changed: {detail}', '告警未更改：{detail}'],
  'alarms.new': ['Alarm {alarm} of {device}, {severity}', '{device} 告警 {alarm}，{severity}'],
  'alarms.several': ['{count} new alarms', '{count} 个新告警'],
  'severity.critical': ['Critical', '严重'],
  'severity.major': ['Major', '重要'],
  'severity.minor': ['Minor', '次要'],
  'severity.warning': ['Warning', '警告'],
  'severity.info': ['Info', '信息'],

  'rules.title': ['Rules', '规则'],
  'rules.none': [
    'No rules yet. Add one with POST /api/v1/rules.',
    '还没有规则。请用 POST /api/v1/rules 添加。',
  ],
  'rules.on': ['on', '启用'],
  'rules.off': ['off', '停用'],
  'rules.never': ['not fired lately', '近期未触发'],
  'rules.last': ['{age} ago', '{age}前'],
  'rules.lastNow': ['just now', '刚刚'],
  'rules.by': ['by {device}', '来自 {device}'],
  'rules.bars': ['{count} firings in the last 30 minutes', '最近 30 分钟触发 {count} 次'],
  'rules.of': ['Firings of “{name}” only', '仅显示“{name}”的触发'],
  'rules.script': ['Script', '脚本'],
  'rules.version': ['Version', '版本'],

  'firings.title': ['Firings', '触发'],
  'firings.none': ['Nothing has fired yet', '还没有触发'],
  'firings.noneOf': ['This rule has not fired lately', '该规则近期未触发'],
  'firings.every': ['All rules', '全部规则'],
  'firings.values': ['Decided on', '判断依据'],
  'firings.actions': ['Called for', '执行动作'],
  'firings.when': ['Decided', '判断时间'],
  'firings.sample': ['Sample of', '样本时间'],
  'firings.topic': ['Topic', '主题'],
  'firings.rule': ['Rule', '规则'],
  'firings.device': ['Device', '设备'],
  'firings.id': ['Id', '编号'],
  'firings.untriggered': ['its functions acted', '函数已执行'],
  'action.command': ['{command} → {device}', '{command} → {device}'],
  'action.publish': ['publish {topic}', '发布 {topic}'],
  'action.raise_alarm': ['alarm {alarm}', '告警 {alarm}'],
  'action.clear_alarm': ['clear {alarm}', '清除 {alarm}'],
  'action.webhook': ['webhook', 'Webhook'],
  'action.refused': ['refused: {reason}', '被拒绝：{reason}'],

  'commands.title': ['Commands', '命令'],
  'commands.none': ['No commands yet', '还没有命令'],
  'commands.took': ['{ms} ms', '{ms} 毫秒'],
  'commands.status': ['Status', '状态'],
  'commands.requested': ['Requested', '请求时间'],
  'commands.sent': ['Sent', '发送时间'],
  'commands.finished': ['Ended', '结束时间'],
  'commands.params': ['Parameters', '参数'],
  'commands.result': ['Result', '结果'],
  'commands.firing': ['Asked for by', '触发来源'],
  'command.pending': ['pending', '等待中'],
  'command.sent': ['sent', '已发送'],
  'command.succeeded': ['succeeded', '成功'],
  'command.failed': ['failed', '失败'],
  'command.expired': ['expired', '已过期'],
  'command.unanswered': ['unanswered', '无应答'],

  'refusals.title': ['Refused', '拒绝'],
  'refusals.none': ['Nothing was refused', '没有被拒绝的请求'],
  'refusals.unlisted': ['{count} more came too fast to be listed', '另有 {count} 次过快，未列出'],
  'refusals.stranger': ['unknown client', '未知客户端'],
  'refusals.who': ['Who', '对象'],
  'refusals.client': ['Client identifier', '客户端标识'],
  'refusals.from': ['From', '来源地址'],
  'refusals.topic': ['Topic', '主题'],
  'refusals.reason': ['Why', '原因'],
  'refusals.first': ['First', '首次'],
  'refusals.last': ['Last', '最近'],
  'refusals.count': ['How often', '次数'],
  'attempt.connect': ['Connect', '连接'],
  'attempt.stay': ['Connection', '连接中断'],
  'attempt.publish': ['Publish', '发布'],
  'attempt.subscribe': ['Subscribe', '订阅'],
  'attempt.message': ['Message', '消息'],
  'code.auth.unknown_name': ['The user name is not known.', '用户名不存在。'],
  'code.auth.no_secret': [
    'The name has no secret to sign in with.',
    '该名称没有可用于登录的密钥。',
  ],
  'code.auth.wrong_secret': ['The secret is wrong.', '密钥错误。'],
  'code.auth.disabled': ['The device or account is disabled.', '设备或账户已停用。'],
  'code.auth.no_name': [
    'It gave no user name; anonymous clients are not let in.',
    '未提供用户名；不允许匿名客户端。',
  ],
  'code.publish.not_authorized': ['It may not publish to this topic.', '无权发布到该主题。'],
  'code.publish.no_room': [
    'There is no room: the disk is full, or too much waits for it.',
    '空间不足：磁盘已满或写入积压过多。',
  ],
  'code.subscribe.not_authorized': ['It may not subscribe to this filter.', '无权订阅该过滤器。'],
  'code.subscribe.shared': ['Shared subscriptions are not offered.', '不支持共享订阅。'],
  'code.topic.unmatched': [
    'No product’s topic template matches: subscribers got it, no device did.',
    '没有产品的主题模板匹配：仅转发给订阅者，未归属任何设备。',
  ],
  'code.topic.unknown_device': ['The device the topic names is not known.', '主题中的设备不存在。'],
  'code.topic.disabled_device': ['The device the topic names is disabled.', '主题中的设备已停用。'],
  'code.plugin.state_refused': ['There is no room for what the plugin keeps.', '没有空间存放插件要保留的状态。'],
  'code.gateway.unknown_head': ['Its first bytes are no product’s.', '首个数据包不属于任何产品。'],
  'code.gateway.unknown_product': ['Its product is not known, or has no framing.', '产品不存在或未设置分帧。'],
  'code.gateway.stranger': ['The device is not known, or not believed.', '设备不存在或未通过验证。'],
  'code.gateway.other_product': ['The device is of another product than this listener takes.', '设备所属产品与该监听不符。'],
  'code.gateway.garbage': ['It sent bytes that are no frame.', '收到无法分帧的数据。'],
  'code.gateway.other_device': ['The connection’s device changed.', '连接的设备发生变化。'],
  'code.gateway.registration_timeout': ['It named no device in time.', '未在规定时间内注册。'],
  'code.gateway.idle': ['It was silent for too long.', '静默时间过长。'],
  'code.payload.undecodable': ['The payload could not be decoded.', '无法解析消息内容。'],
  'code.mqtt.session_taken_over': [
    'Another connection uses the same client identifier.',
    '另一连接使用了相同的客户端标识。',
  ],
  'code.mqtt.keep_alive_timeout': ['It was silent for too long.', '静默时间过长。'],

  'hint.auth.unknown_name': [
    'Add the device first, or correct the name: it is the device’s key, or an account’s user name.',
    '请先添加设备，或更正用户名：应为设备的键或账户的用户名。',
  ],
  'hint.auth.no_secret': [
    'Give it one with POST /api/v1/devices/{id}/secret.',
    '请用 POST /api/v1/devices/{id}/secret 生成密钥。',
  ],
  'hint.auth.wrong_secret': [
    'Correct the password in the client, or issue a new secret.',
    '请更正客户端密码，或重新生成密钥。',
  ],
  'hint.auth.disabled': ['Enable it again, if it is to be let in.', '如需放行，请重新启用。'],
  'hint.plugin.state_refused': ['The plugin keeps too much, or for too many sources.', '插件保留的内容过多，或来源过多。'],
  'hint.gateway.unknown_head': ['Compare its registration packet with what the listener expects.', '请对照监听所期望的注册包。'],
  'hint.gateway.unknown_product': ['Name the product in the listener, and give it a framing.', '请在监听中指定产品并设置分帧。'],
  'hint.gateway.stranger': ['Add the device, or correct its key or secret.', '请添加设备，或更正其键或密钥。'],
  'hint.gateway.other_product': ['Let it connect to the listener of its own product.', '请连接其所属产品的监听。'],
  'hint.gateway.garbage': ['Compare the product’s framing with what the device sends.', '请对照产品分帧与设备发送的数据。'],
  'hint.gateway.registration_timeout': ['Let the device register, or allow it more time.', '请让设备发送注册包，或延长时限。'],
  'hint.auth.no_name': [
    'Set user name and password in the client, or allow it: [mqtt] allow_anonymous.',
    '请在客户端设置用户名和密码，或开启 [mqtt] allow_anonymous。',
  ],
  'hint.publish.not_authorized': [
    'A device publishes to its own topics; an account to what its grants match.',
    '设备只能发布到自己的主题；账户只能发布到其授权匹配的主题。',
  ],
  'hint.subscribe.not_authorized': [
    'A device subscribes to its own commands; an account to what its grants cover.',
    '设备只能订阅自己的命令主题；账户只能订阅其授权覆盖的主题。',
  ],
  'hint.topic.unmatched': [
    'Compare the topic with the product’s topic template, letter by letter.',
    '请逐字对照产品的主题模板。',
  ],
  'hint.topic.unknown_device': [
    'Add the device, or correct the key in the topic.',
    '请添加设备，或更正主题中的键。',
  ],
  'hint.topic.disabled_device': [
    'Enable the device, if it is to be listened to.',
    '如需接收其数据，请启用该设备。',
  ],
  'hint.payload.undecodable': [
    'Compare the payload with what the product’s decoder expects.',
    '请对照产品解码器所期望的内容。',
  ],
  'hint.mqtt.session_taken_over': [
    'Give each client an identifier of its own.',
    '请为每个客户端设置唯一的标识。',
  ],

  'plugins.title': ['Plugins', '插件'],
  'plugins.none': ['No plugins', '没有插件'],
  'plugins.calls': ['{count} calls', '{count} 次调用'],
  'plugins.failures': ['{count} failed', '{count} 次失败'],
  'plugins.pool': ['pool {available}/{max}', '实例 {available}/{max}'],
  'plugins.id': ['Id', '标识'],
  'plugins.functions': ['Functions', '函数'],
  'plugins.vectors': ['Vectors', '测试向量'],
  'plugins.vectorsHeld': ['{held} of {all} hold', '{all} 个中 {held} 个通过'],
  'plugins.loaded': ['In force since', '生效时间'],
  'plugins.trips': ['Set aside', '熔断次数'],
  'plugins.problems': ['What is wrong', '问题'],
  'plugins.hash': ['SHA-256', 'SHA-256'],
  'plugins.callsMade': ['Calls', '调用'],
  'plugins.failed': ['Failed', '失败'],
  'plugins.mean': ['Mean time', '平均耗时'],
  'plugins.micros': ['{us} µs', '{us} 微秒'],
  'health.running': ['running', '运行中'],
  'health.available': ['available', '可用'],
  'health.set_aside': ['set aside', '已熔断'],
  'health.refused': ['refused', '被拒绝'],

  'sheet.close': ['Close', '关闭'],
  'list.hint': ['Arrow keys move between rows', '方向键在各行之间移动'],
  'age.now': ['now', '刚刚'],
  'age.s': ['{n} s', '{n} 秒'],
  'age.m': ['{n} min', '{n} 分'],
  'age.h': ['{n} h', '{n} 时'],
  'age.d': ['{n} d', '{n} 天'],
  'age.never': ['never', '从未'],
};

const LANGUAGES = ['en', 'zh'];

/** The language spoken: `en` or `zh`. */
export const language = () => document.documentElement.lang;

/** Whether there is a text of that name. */
export const known = (name) => Object.hasOwn(TEXTS, name);

/**
 * A text in the language spoken.
 * @param {keyof typeof TEXTS | string} name
 * @param {Record<string, unknown>} [given] what stands for each `{name}`
 */
export const t = (name, given) => {
  const both = TEXTS[name];
  if (!both) throw new Error(`there is no text ${name}`);
  const text = both[Math.max(0, LANGUAGES.indexOf(language()))];
  return given ? text.replace(/\{(\w+)\}/g, (_, word) => String(given[word] ?? '')) : text;
};

/** Speaks the other language from now on. */
export const switchLanguage = () => {
  document.documentElement.lang = language() === 'zh' ? 'en' : 'zh';
};

/** Puts the texts into what stands in the document already. */
export const translateDocument = () => {
  for (const node of document.querySelectorAll('[data-t]')) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll('[data-label]'))
    node.setAttribute('aria-label', t(node.dataset.label));
};

/** All texts, for those who check them. */
export const texts = () => TEXTS;
