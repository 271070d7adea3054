/* global document, EventSource */
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

  function show(state, text) {
    if (sign.dataset.state === state) return;
    sign.dataset.state = state;
    sign.textContent = text;
  }

  function disconnected() {
    show('lost', 'Disconnected');
    if (source?.readyState !== EventSource.CLOSED) return;
    // The server said no; the browser would not ask again.
    close();
    timer = setTimeout(open, AGAIN);
  }

  function expect() {
    clearTimeout(timer);
    timer = setTimeout(() => show('lost', 'Disconnected'), SILENCE);
  }

  function open() {
    if (source || paused || document.hidden) return;
    source = new EventSource(live.dataset.source);
    source.onerror = disconnected;
    source.onmessage = ({ data }) => {
      show('live', 'Live');
      expect();
      // Whoever is marking text must not lose it.
      if (document.getSelection().isCollapsed) live.innerHTML = data;
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
