/** The subscription to attempts as they are recorded. */
import type { GraphQLResolveInfo } from 'graphql'
import type { WebhookAttempt as WebhookAttemptRow } from '../../../generated/prisma/client.ts'
import { builder, columnsOf, type GraphqlContext, readerOf } from '../../../graphql/builder/index.ts'
import { throughOutages } from '../../../platform/outage.ts'
import { WebhookAttempt } from './graphql.ts'
import { attemptsAfter, beginWebhookAttempts } from './queries.ts'
import { attemptsTopic } from './record.ts'

const pollMs = 2_000
const batch = 200
/** How long to look for attempts with lower ordinals, which a transaction that began earlier may still commit. */
const settledAfterMs = 15_000

async function* followAttempts(
  context: GraphqlContext,
  args: Record<string, unknown>,
  info: GraphQLResolveInfo,
): AsyncGenerator<WebhookAttemptRow, void, void> {
  const { endpointId, ordinal } = await context.call(beginWebhookAttempts, args)
  const { app, signal } = context
  const reader = readerOf(context, ['ordinal', ...columnsOf(info, 'WebhookAttempt')])
  let floor = ordinal
  const seen = new Map<bigint, number>()
  while (!signal.aborted) {
    const more = app.wake.next(attemptsTopic, pollMs, signal)
    const found = await throughOutages(app, () => attemptsAfter(reader, endpointId, floor, [...seen.keys()], batch), signal)
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
    subscribe: (_root, args, context, info) => followAttempts(context, args, info),
    resolve: (attempt: WebhookAttemptRow) => attempt,
  }),
)
