export default {
  output: 'standalone',
  outputFileTracingRoot: import.meta.dirname,
  // Copies it beside Next's own server.js.
  outputFileTracingIncludes: { '/*': ['./cluster.js'] },
};
