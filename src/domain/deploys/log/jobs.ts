import type { Chore } from '../../../platform/claim.ts'
import { expireChunks } from './store.ts'

/** Deletes lines that are older than LOG_RETENTION_MS, a limited number at a time. Readers see a gap in their place. */
export const expireLogs: Chore = {
  name: 'expire logs',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app, signal) {
    if (signal.aborted) return
    const removed = await expireChunks(app.db, app.settings)
    if (removed > 0) return 'again'
  },
}
