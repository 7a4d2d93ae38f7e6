/**
 * Every limit of the page, with its name: a page that stays open for a month must not grow.
 *
 * Owns numbers only. Times are in milliseconds.
 */

/** Devices known to the page; a server may have more. */
export const DEVICES_MAX = 20_000;
/** Values of one device; those beyond are not shown. */
export const VALUES_PER_DEVICE_MAX = 200;
/** Curves kept for all devices together, each of `SERIES_POINTS` points. */
export const SERIES_MAX = 6_000;
/** Curves of one device. */
export const SERIES_PER_DEVICE_MAX = 8;
/** Points of a curve. */
export const SERIES_POINTS = 300;
/** Time each point of a curve stands for: a curve is five minutes long. */
export const SERIES_STEP_MS = 1_000;
/** Rules known to the page. */
export const RULES_MAX = 2_000;
/** Firings, newest first. */
export const FIRINGS_MAX = 1_000;
/** Alarms, the active ones and those that ended last. */
export const ALARMS_MAX = 2_000;
/** Commands, newest first. */
export const COMMANDS_MAX = 500;
/** Refusals: as many as the server keeps. */
export const REFUSALS_MAX = 256;
/** Length of a page that is asked for. */
export const PAGE_LEN = 1_000;
/** Longest text that is shown of a value. */
export const TEXT_LEN_MAX = 120;

/** Least time between two paintings of the numbers: faster than this nobody reads. */
export const PAINT_INTERVAL_MS = 100;
/** Least time between two paintings of one curve. */
export const CURVE_INTERVAL_MS = 500;
/** How often ages ("5 s") are brought up to date. */
export const AGE_INTERVAL_MS = 1_000;
/** How often the engine's figures are asked for. */
export const STATUS_INTERVAL_MS = 2_000;
/** How often refusals' counts and plugins are asked for. */
export const SLOW_INTERVAL_MS = 15_000;
/** Least time between two readings of everything. */
export const RESYNC_INTERVAL_MS = 5_000;
/** The same after events were missed: a server that has too much to do must not be given more. */
export const MISSED_INTERVAL_MS = 30_000;
/** How long a hidden page goes on as if it were looked at. */
export const HIDDEN_GRACE_MS = 5_000;
/** First wait before the stream is opened again; it doubles each time. */
export const BACKOFF_MIN_MS = 500;
/** Longest wait before the stream is opened again. */
export const BACKOFF_MAX_MS = 15_000;
/** Time an answer may take. */
export const REQUEST_TIMEOUT_MS = 15_000;
/** Least time between two announcements to a screen reader. */
export const ANNOUNCE_INTERVAL_MS = 3_000;
/** Histories asked for at a time. */
export const HISTORY_PARALLEL_MAX = 2;
/** Bars of a rule's firings, one a minute. */
export const RULE_BARS = 30;
