'use strict';

// Keeps the live part of the first page up to date: the server renders, this only puts it in.
(() => {
  const live = document.getElementById('live');
  const sign = document.getElementById('sign');
  const button = document.getElementById('pause');
  /** A sample comes every 2 s; after this long without one the page says so. */
  const SILENCE = 7000;
  const AGAIN = 5000;

  let source = null;
  let paused = false;
  let timer = null;
  let last = Date.now();
  let counting = null;

  function show(state, text) {
    if (sign.textContent !== text) sign.textContent = text;
    sign.dataset.state = state;
    // What is shown is old: the style dims it.
    live.dataset.state = state;
    if (state === 'lost') return;
    clearInterval(counting);
    counting = null;
  }

  function count() {
    show('lost', `Disconnected for ${Math.round((Date.now() - last) / 1000)} s`);
  }

  function lost() {
    count();
    counting ??= setInterval(count, 1000);
  }

  function disconnected() {
    lost();
    if (source?.readyState !== EventSource.CLOSED) return;
    // The server said no; the browser would not ask again.
    close();
    timer = setTimeout(open, AGAIN);
  }

  function expect() {
    clearTimeout(timer);
    timer = setTimeout(lost, SILENCE);
  }

  /** Puts in what the server rendered, and keeps what the reader has scrolled and focused. */
  function put(html) {
    const scrolled = live.querySelector('.events')?.scrollTop;
    const focused = live.contains(document.activeElement)
      ? [...live.querySelectorAll('[tabindex]')].indexOf(document.activeElement)
      : -1;
    live.innerHTML = html;
    const events = live.querySelector('.events');
    if (events && scrolled) events.scrollTop = scrolled;
    if (focused >= 0) live.querySelectorAll('[tabindex]')[focused]?.focus({ preventScroll: true });
  }

  function open() {
    if (source || paused || document.hidden) return;
    source = new EventSource(live.dataset.source);
    source.onerror = disconnected;
    source.onmessage = ({ data }) => {
      last = Date.now();
      show('live', 'Live');
      expect();
      // A reader who is marking text must not lose it.
      if (document.getSelection().isCollapsed) put(data);
    };
    expect();
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  button.addEventListener('click', () => {
    paused = !paused;
    button.textContent = paused ? 'Resume' : 'Pause';
    if (paused) {
      close();
      show('paused', 'Paused');
    } else {
      show('still', 'Connecting');
      open();
    }
  });

  // A page that nobody sees takes no place on the server.
  document.addEventListener('visibilitychange', () => (document.hidden ? close() : open()));

  button.hidden = false;
  open();
})();
