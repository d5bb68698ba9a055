/**
 * Answers as server-sent events, in the distinct connections mode of the graphql-sse protocol: a `next` for each answer, then `complete`. The
 * `id` of a `next` is the cursor of its event, if it has one, so that a client can resume by `Last-Event-ID`. An EventSource reconnects after
 * every end, even after `complete`; 204 then tells it to stop.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { type GraphQLSchema, Kind, type OperationDefinitionNode } from 'graphql'
import { pause } from '../platform/clock.ts'
import type { ErrorKind } from '../platform/errors.ts'
import { type Answer, type Answers, bytesOf, eventCursor, isStream, isSubscription, type Prepared } from './perform.ts'

/** `lastEventId` is set if the client reconnects and has received everything up to that event. */
export type EventsOptions = { signal: AbortSignal; beatEveryMs: number; lastEventId?: string | undefined }

/** `id` of `complete`. A client that reconnects with it has received the whole stream. */
export const completedId = 'complete'

/** Maximum delay of the response headers for a client that reconnects. */
const resumeGraceMs = 1_000

/**
 * Writes an event stream and resolves when it has ended: because its source ended, the reader disconnected, or `signal` aborted. In the last
 * case there is no `complete`, so the client reconnects. The next answer is only pulled when the reader has accepted the previous one. A
 * client that reconnects when there is nothing left to send gets 204.
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
    // After a temporary failure, the client should reconnect and resume after the last cursor.
    if (!over.aborted) response.write(`event: complete\n${failedTemporarily(last) ? '' : `id: ${completedId}\n`}data: \n\n`)
  } finally {
    clearInterval(beat)
    over.removeEventListener('abort', leave)
    await answers.return()
    response.end()
  }
}

const temporary = new Set<unknown>(['unavailable', 'timeout', 'rate_limited', 'internal'] satisfies ErrorKind[])
const failedTemporarily = (answer: Answer | undefined) => answer?.data === undefined && temporary.has(answer?.errors?.[0]?.extensions.kind)

/** The value, or undefined if it takes longer than `resumeGraceMs` or the stream ends first. */
async function withinGrace<Value>(value: Promise<Value>, over: AbortSignal): Promise<Value | undefined> {
  const known = new AbortController()
  try {
    return await Promise.race([value, pause(resumeGraceMs, AbortSignal.any([over, known.signal])).then(() => undefined)])
  } finally {
    known.abort()
  }
}

/** Writes the headers, then comments at an interval, which keep proxies and clients from timing out. */
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

/**
 * The first answers after an event; null if the source ends without any. An answer with the same cursor only shows that nothing was missed.
 */
async function newsSince(answers: Answers, lastEventId: string): Promise<Answer[] | null> {
  const first = await answers.next()
  if (first.done) return null
  if (first.value[eventCursor] !== lastEventId) return [first.value]
  const second = await answers.next()
  return second.done ? null : [first.value, second.value]
}

const next = (answer: Answer): Buffer => {
  const cursor = answer[eventCursor]
  const id = cursor !== undefined && !/[\r\n\0]/.test(cursor) ? `id: ${cursor}\n` : ''
  return Buffer.concat([Buffer.from(`event: next\n${id}data: `), bytesOf(answer), eventEnd])
}

const eventEnd = Buffer.from('\n\n')

async function* single(answer: Answer): Answers {
  yield answer
}

/** Sets `after` of the subscription's fields to a cursor, replacing its value: where the reader left off overrides where it began. */
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
