import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Vite would take graphql's ES modules and Pothos its CommonJS ones: two realms, whose types don't fit.
  resolve: { alias: [{ find: /^graphql$/, replacement: join(import.meta.dirname, 'node_modules/graphql/index.js') }] },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/bench/**'],
    globalSetup: ['test/support/global-setup.ts'],
    // Only what would never come is given up: a busy machine takes its time.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Most tests wait for processes and deadlines: two workers use a third of two cores.
    maxWorkers: 3,
    // On CI only: a test that passes at its second try passes, and .ci/run names it as unsteady.
    retry: process.env.CI ? 1 : 0,
  },
})
