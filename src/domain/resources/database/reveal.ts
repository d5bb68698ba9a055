/** Reveals of the credentials of databases. See variable/reveal.ts for what every reveal does. */
import { z } from 'zod'
import type { Database } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { countReveal, markRevealed } from '../../configuration/variable/index.ts'
import { lockDatabase } from './lock.ts'
import { passwordIdentity, urlIdentity } from './model.ts'

export const revealDatabase = defineCommand({
  name: 'revealDatabase',
  description:
    'Reveals the address and credentials of a database. Reveals are audited and limited per minute; beyond the limit, the request fails with `rate_limited`.',
  permission: 'reveal:secrets',
  ids: { id: 'Database' },
  targetType: 'Database',
  target: lockDatabase,
  input: z.object({}),
  emits: [],
  once: ['url', 'password'],
  async run(work, _input, target: Database) {
    await markRevealed(work, 'database', [target.id])
    await countReveal(work)
    const { id, organizationId, host, port, databaseName, username } = target
    const open = (identity: string, sealed: Uint8Array) => work.app.keyring.open(work.tx, organizationId, identity, sealed)
    return {
      id,
      url: (await open(urlIdentity(id), target.url)) as string | null,
      host,
      port,
      databaseName,
      username,
      password: (await open(passwordIdentity(id), target.password)) as string | null,
    }
  },
})
