// Injected before the page's own scripts: when the first value could be read, what the stream
// brought, and how the browser's frames went.
(() => {
  const probe = (window.probe = {
    first_value_ms: null,
    events: 0,
    dropped: 0,
    frames: [],
    long_ms: [],
  });
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener('message', ({ data }) => {
        probe.events += data.split('"kind"').length - 1;
        probe.dropped += Number(/"dropped":(\d+)/.exec(data)?.[1] ?? 0);
      });
    }
  };
  const look = () => {
    for (const node of document.querySelectorAll('.value-number')) {
      if (node.textContent && node.checkVisibility()) {
        probe.first_value_ms = performance.now();
        return;
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  probe.watch = () => {
    probe.events = probe.dropped = 0;
    probe.frames = [];
    probe.long_ms = [];
    probe.since = performance.now();
    probe.observer?.disconnect();
    probe.observer = new PerformanceObserver((list) =>
      probe.long_ms.push(...list.getEntries().map((one) => one.duration)),
    );
    probe.observer.observe({ type: 'longtask' });
    let before = performance.now();
    const { frames } = probe;
    const frame = (now) => {
      if (frames !== probe.frames) return; // watched anew
      frames.push(now - before);
      before = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  };
})();
