'use strict';

const js = require('@eslint/js');
const globals = require('globals');

module.exports = [
  { ignores: ['dist/', 'target/', 'node_modules/', 'examples/next/app/'] },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2023, sourceType: 'commonjs', globals: { ...globals.node } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: ['error', 'always'],
      strict: ['error', 'global'],
      'max-len': ['error', { code: 130, ignoreStrings: true, ignoreTemplateLiterals: true }],
      'max-lines': ['error', 300],
      'max-lines-per-function': ['error', { max: 60, skipComments: true }],
    },
  },
  {
    files: ['index.js', 'lib/**/*.js', 'scripts/**/*.js'],
    rules: { 'max-len': ['error', { code: 100 }] },
  },
  { files: ['**/*.mjs'], languageOptions: { sourceType: 'module' } },
  // The examples are the manual's own, as they were written.
  { files: ['templates/**/*.js'], languageOptions: { sourceType: 'script', globals: globals.browser } },
  { files: ['examples/**/*.{js,mjs}'], rules: { 'no-var': 'off', strict: 'off', 'prefer-const': 'off', 'no-unused-vars': 'off' } },
  {
    files: ['test/**/*.{js,mjs}'],
    languageOptions: { globals: { ...globals.mocha } },
    rules: { 'max-lines-per-function': 'off' },
  },
  // A test waits for conditions, never for a time; see test/helpers/wait.js.
  {
    files: ['test/**/*.test.js'],
    rules: {
      'no-restricted-globals': ['error', 'setTimeout', 'setInterval'],
      'no-restricted-modules': ['error', 'node:timers/promises'],
    },
  },
  {
    files: ['test/**/*.{js,mjs}'],
    rules: {
      'max-len': [
        'error',
        { code: 100, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true },
      ],
    },
  },
];
