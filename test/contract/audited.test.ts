/** What a command changes is shown in the audit log: the listing of the type declares its name and the columns that entries show. */
import { expect, it } from 'vitest'
import { concepts } from '../../src/domain/index.ts'
import { assemble } from '../../src/platform/concept.ts'
import { fieldsOf, type Model } from '../../src/platform/db/index.ts'

const { commands, nodes } = assemble(concepts)
const types = new Set([...commands.values()].flatMap(({ targetType, creates }) => [targetType, creates]).filter((type) => type != null))

/** A message is what an event was sent as; commands send it again, and change nothing of it. */
const unchanged = ['WebhookMessage']

it.each([...types].sort())('%s declares what audit entries show of it', (type) => {
  const listing = nodes.get(type!)
  expect([...fieldsOf(type as Model), ...(listing?.computed ?? [])]).toContain(listing?.nameColumn)
  if (!unchanged.includes(type!)) expect(listing?.audited).not.toEqual([])
})
