// What was chosen on this device for the looks, before anything is drawn: no flash of the other.
// Owns the names under which choices are kept. A choice that is not there follows the system.
'use strict';

(() => {
  const kept = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // a browser that keeps nothing
    }
  };
  const root = document.documentElement;
  const theme = kept('fluxhybrid.theme');
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  const language = kept('fluxhybrid.language');
  const first = (navigator.language || 'en').toLowerCase();
  root.lang =
    language === 'en' || language === 'zh' ? language : first.startsWith('zh') ? 'zh' : 'en';
})();
