import type { Chore } from '../../../platform/claim.ts'
import { expireChunks } from './store.ts'

/** Removes lines that are older than LOG_RETENTION_MS, a portion at a time; readers see a gap there. */
export const expireLogs: Chore = {
  name: 'expire logs',
  topic: null,
  everyMs: 10 * 60_000,
  async run(app, signal) {
    if (signal.aborted) return
    const removed = await expireChunks(app.db.prisma, app.settings)
    if (removed > 0) return 'again'
  },
}
