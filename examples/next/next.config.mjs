export default {
  output: 'standalone',
  outputFileTracingRoot: import.meta.dirname,
  // Copies cluster.js beside Next's own server.js.
  outputFileTracingIncludes: { '/*': ['./cluster.js'] },
};
