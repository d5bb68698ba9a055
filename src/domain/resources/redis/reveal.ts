/** Reveals of the credentials of Redis instances. See variable/reveal.ts for what every reveal does. */
import { z } from 'zod'
import type { Redis } from '../../../generated/prisma/client.ts'
import { defineCommand } from '../../../platform/command.ts'
import { countReveal, markRevealed } from '../../configuration/variable/index.ts'
import { lockRedis } from './lock.ts'
import { passwordIdentity, urlIdentity, username } from './model.ts'

export const revealRedis = defineCommand({
  name: 'revealRedis',
  description:
    'Reveals the address and credentials of a Redis instance. Reveals are audited and limited per minute; beyond the limit, the request fails with `rate_limited`.',
  permission: 'reveal:secrets',
  ids: { id: 'Redis' },
  targetType: 'Redis',
  target: lockRedis,
  input: z.object({}),
  emits: [],
  once: ['url', 'password'],
  async run(work, _input, target: Redis) {
    await markRevealed(work, 'redis', [target.id])
    await countReveal(work)
    const { id, organizationId, host, port } = target
    const open = (identity: string, sealed: Uint8Array) => work.app.keyring.open(work.tx, organizationId, identity, sealed)
    return {
      ...{ id, host, port, username },
      url: (await open(urlIdentity(id), target.url)) as string | null,
      password: (await open(passwordIdentity(id), target.password)) as string | null,
    }
  },
})
