import type { Chore } from '../platform/claim.ts'
import { sequence, sequenceBatch } from '../platform/sequencer.ts'

/** Gives committed event and audit rows their position, soon after each commit that wrote one. */
export const positionRows: Chore = {
  name: 'position events and audit rows',
  topic: 'outbox',
  everyMs: 5_000,
  run: async (app) => ((await sequence(app)) >= sequenceBatch ? 'again' : undefined),
}
