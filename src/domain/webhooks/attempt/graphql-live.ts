/** Attempts as they are recorded. */
import { builder, type GraphqlContext } from '../../../graphql/builder/index.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { WebhookAttempt } from './graphql.ts'
import { type Attempt, attemptsAfter, beginWebhookAttempts } from './queries.ts'
import { attemptsTopic } from './record.ts'

const pollMs = 2_000
const batch = 200
/** A transaction that began earlier may commit later, with lower ordinals: so long they are looked for. */
const settledAfterMs = 15_000

async function* followAttempts(context: GraphqlContext, args: Record<string, unknown>): AsyncGenerator<Attempt, void, void> {
  const { endpointId, ordinal } = await context.call(beginWebhookAttempts, args)
  const { app, caller, signal } = context
  let floor = ordinal
  const seen = new Map<bigint, number>()
  while (!signal.aborted) {
    const more = app.wake.next(attemptsTopic, pollMs, signal)
    const found = await throughOutages(app, () => attemptsAfter(app.db.prisma, caller, endpointId, floor, [...seen.keys()], batch), signal)
    for (const attempt of found) {
      if (signal.aborted) return
      yield attempt
      seen.set(attempt.ordinal, performance.now())
    }
    for (const [known, at] of seen) {
      if (performance.now() - at < settledAfterMs) break
      if (known > floor) floor = known
      seen.delete(known)
    }
    if (found.length < batch) await more
  }
}

builder.subscriptionField('webhookAttempts', (t) =>
  t.field({
    type: WebhookAttempt,
    description: 'Delivery attempts as they are recorded. With `after`, the attempts recorded after that one are sent first.',
    args: {
      endpointId: t.arg.id({ description: 'Return only attempts for this endpoint.' }),
      after: t.arg.string({ description: 'ID of an attempt. The attempts recorded after it are sent first.' }),
    },
    subscribe: (_root, args, context) => followAttempts(context, args),
    resolve: (attempt: Attempt) => attempt,
  }),
)
