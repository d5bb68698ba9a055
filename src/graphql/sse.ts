/**
 * Answers as server-sent events, the distinct connections mode of the graphql-sse protocol: `next` for each answer, then `complete`.
 * A `next` has as `id` the cursor of what it tells, where it has one, so that a client resumes by `Last-Event-ID`. An EventSource comes
 * again after each end, also after `complete`: it is answered 204 then, which tells it to stay away.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type GraphQLSchema, Kind, type OperationDefinitionNode } from 'graphql'
import { pause } from '../platform/clock.ts'
import type { ErrorKind } from '../platform/errors.ts'
import { type Answer, type Answers, eventCursor, isStream, isSubscription, type Prepared, textOf } from './perform.ts'

/** With `lastEventId` the client comes again, and has had everything up to there. */
export type EventsOptions = { signal: AbortSignal; beatEveryMs: number; lastEventId?: string | undefined }

/** `id` of `complete`: who comes again with it has had the whole stream. */
export const completedId = 'complete'

/** How long a client that comes again may have to wait for the head of its answer. */
const resumeGraceMs = 1_000

/**
 * Writes a whole event stream and resolves when it has ended: by its source, by the reader's leaving, or by `signal`, which ends it
 * without `complete`, so that the client comes again. The next answer is pulled only when the reader has taken the one before.
 * A client that comes again when there is nothing more to tell gets 204.
 */
export async function writeEvents(
  response: ServerResponse,
  outcome: Answer | Answers,
  { signal, beatEveryMs, lastEventId }: EventsOptions,
): Promise<void> {
  const answers = isStream(outcome) ? outcome : single(outcome)
  const gone = new AbortController()
  const over = AbortSignal.any([gone.signal, signal])
  const leave = () => void answers.return()
  over.addEventListener('abort', leave, { once: true })
  response.once('close', () => gone.abort())
  if (over.aborted || response.destroyed) leave()
  let beat: NodeJS.Timeout | undefined
  let last: Answer | undefined
  const write = async (answer: Answer) => {
    last = answer
    if (!response.write(next(answer))) await once(response, 'drain', { signal: over }).catch(() => {})
  }
  try {
    const first = lastEventId === undefined ? Promise.resolve([]) : newsSince(answers, lastEventId)
    const known = await withinGrace(first, over)
    if (known === null && !over.aborted) return void response.writeHead(204)
    beat = begin(response, beatEveryMs)
    for (const answer of (await first) ?? []) await write(answer)
    for await (const answer of answers) {
      await write(answer)
      if (over.aborted) return
    }
    // Who lost a stream to a fault that passes is to come again, and go on behind the last cursor.
    if (!over.aborted) response.write(`event: complete\n${passes(last) ? '' : `id: ${completedId}\n`}data: \n\n`)
  } finally {
    clearInterval(beat)
    over.removeEventListener('abort', leave)
    await answers.return()
    response.end()
  }
}

const passing = new Set<unknown>(['unavailable', 'timeout', 'rate_limited', 'internal'] satisfies ErrorKind[])
const passes = (answer: Answer | undefined) => answer?.data === undefined && passing.has(answer?.errors?.[0]?.extensions.kind)

/** What is known soon; undefined when it isn't, or when the stream is over before. */
async function withinGrace<Value>(value: Promise<Value>, over: AbortSignal): Promise<Value | undefined> {
  const known = new AbortController()
  try {
    return await Promise.race([value, pause(resumeGraceMs, AbortSignal.any([over, known.signal])).then(() => undefined)])
  } finally {
    known.abort()
  }
}

/** The head, and a comment now and then, which keeps proxies and clients from taking silence for an end. */
function begin(response: ServerResponse, beatEveryMs: number): NodeJS.Timeout {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  })
  response.write(':\n\n')
  return setInterval(() => {
    if (!response.writableNeedDrain) response.write(':\n\n')
  }, beatEveryMs)
}

/** The first answers behind an event; null when the source ends without any. One with the same cursor says only that all was told. */
async function newsSince(answers: Answers, lastEventId: string): Promise<Answer[] | null> {
  const first = await answers.next()
  if (first.done) return null
  if (first.value[eventCursor] !== lastEventId) return [first.value]
  const second = await answers.next()
  return second.done ? null : [first.value, second.value]
}

const next = (answer: Answer) => {
  const cursor = answer[eventCursor]
  const id = cursor !== undefined && !/[\r\n\0]/.test(cursor) ? `id: ${cursor}\n` : ''
  return `event: next\n${id}data: ${textOf(answer)}\n\n`
}

async function* single(answer: Answer): Answers {
  yield answer
}

/** The document with `after` of the subscription's fields set to a cursor, whatever it was: where a reader left off beats where it began. */
export function resumedAfter(prepared: Prepared, schema: GraphQLSchema, cursor: string): Prepared {
  const root = schema.getSubscriptionType()
  if (!isSubscription(prepared) || !root) return prepared
  const resumes = (name: string) => root.getFields()[name]?.args.some((arg) => arg.name === 'after') === true
  const after = { kind: Kind.ARGUMENT, name: { kind: Kind.NAME, value: 'after' }, value: { kind: Kind.STRING, value: cursor } } as const
  const inSelections = <Node extends { selectionSet: OperationDefinitionNode['selectionSet'] }>(node: Node): Node => ({
    ...node,
    selectionSet: {
      ...node.selectionSet,
      selections: node.selectionSet.selections.map((selection) => {
        if (selection.kind === Kind.INLINE_FRAGMENT) return inSelections(selection)
        if (selection.kind !== Kind.FIELD || !resumes(selection.name.value)) return selection
        const others = selection.arguments?.filter((argument) => argument.name.value !== 'after') ?? []
        return { ...selection, arguments: [...others, after] }
      }),
    },
  })
  const definitions = prepared.document.definitions.map((definition) => {
    const ofRoot =
      definition === prepared.operation ||
      (definition.kind === Kind.FRAGMENT_DEFINITION && definition.typeCondition.name.value === root.name)
    return ofRoot ? inSelections(definition as OperationDefinitionNode) : definition
  })
  return { ...prepared, document: { ...prepared.document, definitions } }
}
