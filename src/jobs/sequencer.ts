import type { Chore } from '../platform/claim.ts'
import { sequence, sequenceBatch } from '../platform/sequencer.ts'

/** Assigns positions to events and audit entries soon after they are committed. */
export const positionRows: Chore = {
  name: 'position events and audit rows',
  topic: 'outbox',
  everyMs: 5_000,
  gatherMs: 20,
  run: async (app) => ((await sequence(app)) >= sequenceBatch ? 'again' : undefined),
}
