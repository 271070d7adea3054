'use strict';

// Shows the last lines of a log, and follows it: the server sends the file, this appends it.
(() => {
  const log = document.getElementById('log');
  const sign = document.getElementById('sign');
  const button = document.getElementById('pause');
  /** Characters that are kept; older ones are dropped by whole pieces. */
  const MOST = 1_000_000;
  const AGAIN = 5000;

  let paused = false;
  let reading = null;

  function show(state, text) {
    sign.dataset.state = state;
    sign.textContent = text;
    log.dataset.state = state;
  }

  function append(text) {
    const { scrollTop, scrollHeight, clientHeight } = log;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
    log.append(text);
    while (log.textContent.length > MOST && log.childNodes.length > 1) log.firstChild.remove();
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  async function follow() {
    const aborter = new AbortController();
    reading = aborter;
    try {
      const response = await fetch(log.dataset.source, { signal: aborter.signal });
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      log.textContent = '';
      show('live', 'Following');
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        append(value);
      }
    } catch {
      // As its end: it is tried again.
    }
    if (reading !== aborter || paused) return;
    show('lost', 'Disconnected');
    setTimeout(() => reading === aborter && !paused && follow(), AGAIN);
  }

  button.addEventListener('click', () => {
    paused = !paused;
    button.textContent = paused ? 'Resume' : 'Pause';
    if (paused) {
      reading?.abort();
      show('paused', 'Paused');
    } else {
      follow();
    }
  });

  button.hidden = false;
  follow();
})();
