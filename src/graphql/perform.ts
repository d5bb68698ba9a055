/**
 * Runs an operation the same way for every transport: parse, check limits, validate, execute within a deadline, format errors. Knows
 * nothing of HTTP, server-sent events or sockets; its results are ready to be serialized as JSON.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  MaxIntrospectionDepthRule,
  type OperationDefinitionNode,
  OperationTypeNode,
  parse,
  specifiedRules,
  validate,
} from 'graphql'
import type { Caller } from '../platform/access.ts'
import { recordRefusal } from '../platform/audit-refusal.ts'
import { DomainError, errors } from '../platform/errors.ts'
import { overdue } from '../platform/outage.ts'
import type { Pace } from '../platform/pace.ts'
import type { App } from '../platform/work.ts'
import { writeInTurns } from './answer-text.ts'
import { type Budget, createBudget } from './budget.ts'
import { createGraphqlContext, type GraphqlContext } from './context.ts'
import { formatError, graphqlErrors, refusal, relabel, variableError } from './error.ts'
import { createExecute, type Execution } from './execute/index.ts'
import { exceeded, exceededByText, limitExceeded, limits, weigh } from './limits.ts'
import { createSharedAnswers } from './shared-answer.ts'

export type Params = {
  query: string
  operationName?: string | null
  variables?: Record<string, unknown> | null
}

export type Asker = {
  /** Who sent the operation. */
  caller: Caller
  requestId: string
  /** Calls back once the client has disconnected, later than this call. Returns a function that prevents it. */
  whenGone: (act: () => void) => () => void
}

/** Key of the event cursor in a subscription's result. A symbol, so JSON omits it. */
export const eventCursor = Symbol('cursor')

/** Key of a large answer's JSON, which was serialized in several turns of the event loop. */
const writtenText = Symbol('text')

const writtenBytes = Symbol('bytes')

/** A result with formatted errors. Without `data`, the whole operation was refused. */
export type Answer = ExecutionResult & { [eventCursor]?: string; [writtenText]?: string; [writtenBytes]?: Buffer }

/** The JSON of an answer. */
export const textOf = (answer: Answer): string => answer[writtenText] ?? JSON.stringify(answer)

/** The JSON of an answer in UTF-8, serialized once for all subscriptions that share the answer. */
export const bytesOf = (answer: Answer): Buffer => {
  answer[writtenBytes] ??= Buffer.from(textOf(answer))
  return answer[writtenBytes]
}

/** Ends immediately on `return()` and when the asker's signal aborts, even while its source is waiting. */
export type Answers = AsyncGenerator<Answer, void, void>

export type Prepared = { document: DocumentNode; operation: OperationDefinitionNode; params: Params; requestId: string }

export type Outcome = { operation: `${OperationTypeNode}` | 'none'; code: string; seconds: number }

export type Performer = {
  /** Parses, measures and validates, and deducts the cost from the caller's budget. Returns an Answer if the operation is refused. */
  prepare(params: Params, asker: Pick<Asker, 'caller' | 'requestId'>): Prepared | Answer
  /** Executes. Never rejects. */
  run(prepared: Prepared, asker: Asker): Promise<Answer | Answers>
  /** The caller's cost budget, from which `prepare` deducts. */
  budget: Budget
}

export type PerformerOptions = {
  app: App
  schema: GraphQLSchema
  /** Called when an operation has been answered, or when a subscription has started. */
  observe?: (outcome: Outcome) => void
}

export const isPrepared = (value: Prepared | Answer): value is Prepared => 'document' in value
export const isStream = (value: Answer | Answers): value is Answers => Symbol.asyncIterator in value

export const isMutation = (prepared: Prepared) => prepared.operation.operation === OperationTypeNode.MUTATION
export const isSubscription = (prepared: Prepared) => prepared.operation.operation === OperationTypeNode.SUBSCRIPTION

/** The field that an error is about, for audit entries: `field viewer.organization`. Rows of a list are not distinguished. */
const fieldOf = ({ path = [] }: GraphQLError): string => `field ${path.filter((part) => typeof part === 'string').join('.')}`.slice(0, 200)

export function createPerformer({ app, schema, observe = () => {} }: PerformerOptions): Performer {
  const documentOf = cachedDocuments(schema)

  const budget = createBudget(app)
  const sharedAnswers = createSharedAnswers(schema)
  const execute = createExecute(schema)

  const prepare: Performer['prepare'] = (params, { caller, requestId }) => {
    const checked = documentOf(params.query)
    if ('refused' in checked)
      return refuse(checked.refused.map(({ at, error }) => (at ? relabel(at, error, requestId) : refusal(error, requestId))))
    const { document } = checked
    const operation = getOperationAST(document, params.operationName)
    if (!operation) return refuse([refusal(graphqlErrors.graphql_validation_failed({ text: unknownOperation(params) }), requestId)])
    const weight = weigh(schema, document, operation, params.variables ?? {})
    const refused = typeof weight === 'number' ? budget.spend(caller, weight) : weight
    if (refused) return refuse([refusal(refused, requestId)])
    return { document, operation, params, requestId }
  }

  const refuse = (list: readonly GraphQLError[]): Answer => {
    observe({ operation: 'none', code: codeOf(list), seconds: 0 })
    return { errors: list }
  }

  const run = async (prepared: Prepared, asker: Asker): Promise<Answer | Answers> => {
    const began = performance.now()
    const ended = new AbortController()
    const outcome = isSubscription(prepared) ? await subscribe(prepared, asker, ended) : await answerInTime(prepared, asker, ended)
    observe({
      operation: prepared.operation.operation,
      code: isStream(outcome) ? 'ok' : codeOf(outcome.errors),
      seconds: (performance.now() - began) / 1000,
    })
    return outcome
  }

  const contextOf = ({ caller, requestId }: Asker, signal?: AbortSignal) => createGraphqlContext({ app, caller, requestId }, signal)

  /**
   * The answer, or at the deadline `timeout` (`unavailable` during a database outage). The context's signal then aborts, which ends the work
   * that observes it.
   */
  const answerInTime = (prepared: Prepared, asker: Asker, ended: AbortController): Promise<Answer> =>
    new Promise((resolve) => {
      const stop = () => {
        ended.abort()
        settle({ errors: [refusal(overdue(app), asker.requestId)] })
      }
      const deadline = setTimeout(stop, app.settings.REQUEST_TIMEOUT_MS)
      const stopWaiting = asker.whenGone(stop)
      const settle = (answer: Answer) => {
        clearTimeout(deadline)
        stopWaiting()
        resolve(answer)
      }
      void answer(prepared, asker, contextOf(asker, ended.signal)).then(settle)
    })

  const answer = async (prepared: Prepared, asker: Asker, context: GraphqlContext, rootValue?: unknown): Promise<Answer> => {
    const { signal, pace } = context
    try {
      const result = await execute(executionOf(prepared, context, rootValue))
      // The client is gone: errors caused by the abort aren't logged.
      if (signal.aborted) return {}
      const formatted = await format(result, asker, pace)
      return context.room.values >= valuesOfLarge ? { ...formatted, [writtenText]: await writeInTurns(formatted, pace) } : formatted
    } catch (error) {
      if (signal.aborted) return {}
      return { errors: [formatError(error, { requestId: asker.requestId, app })] }
    }
  }

  const executionOf = ({ document, operation, params }: Prepared, context: GraphqlContext, rootValue: unknown): Execution => ({
    document,
    operation,
    variables: params.variables,
    context,
    rootValue,
  })

  const format = async (result: ExecutionResult, { caller, requestId }: Asker, pace: Pace): Promise<Answer> => {
    if (!result.errors) return result
    const scope = { requestId, app }
    const refused = !('data' in result)
    const errors: GraphQLError[] = []
    for (const error of result.errors) {
      await pace.next()
      const { originalError } = error
      if (originalError instanceof DomainError && originalError.kind === 'forbidden')
        await recordRefusal({ app, caller, requestId }, { name: fieldOf(error), ids: {} }, {}, originalError)
      errors.push(refused && isVariableError(error) ? variableError(error, requestId) : formatError(error, scope))
    }
    return { ...result, errors }
  }

  const subscribe = async (prepared: Prepared, asker: Asker, ended: AbortController): Promise<Answer | Answers> => {
    const detach = asker.whenGone(() => ended.abort())
    try {
      const { document, params } = prepared
      const contextValue = contextOf(asker, ended.signal)
      const source = await createSourceEventStream({
        schema,
        document,
        operationName: params.operationName,
        variableValues: params.variables,
        contextValue,
      })
      if (Symbol.asyncIterator in source) {
        const shape = sharedAnswers.shapeOf(prepared, asker.caller)
        const answerTo = async (event: unknown, signal?: AbortSignal) =>
          withCursor(await answer(prepared, asker, contextOf(asker, signal), event), event)
        // A shared answer outlives the subscription that requested it first. Errors aren't shared, because they name the request.
        const each = async (event: unknown) => {
          const shared = await sharedAnswers.answer(event as object, shape, () => answerTo(event))
          return shared.errors ? answerTo(event, ended.signal) : shared
        }
        const failed = (error: unknown): Answer => ({ errors: [formatError(error, { requestId: asker.requestId, app })] })
        return answersOf(source, { each, failed, ended, detach })
      }
      detach()
      return await format(source, asker, contextValue.pace)
    } catch (error) {
      detach()
      return { errors: [formatError(error, { requestId: asker.requestId, app })] }
    }
  }

  return { prepare, run, budget }
}

/** An answer with this many values is written in turns. The JSON of a smaller one takes a few milliseconds. */
const valuesOfLarge = 30_000

const isVariableError = (error: GraphQLError) => !error.path && error.message.startsWith('Variable "$')
const codeOf = (list: readonly GraphQLError[] | undefined) => (list?.[0] ? String(list[0].extensions.code) : 'ok')
const unknownOperation = ({ operationName }: Params) =>
  operationName
    ? `The document has no operation "${operationName}".`
    : 'The document must have one operation, or `operationName` must say which.'

const withCursor = (answer: Answer, event: unknown): Answer => {
  const cursor = (event as { cursor?: unknown } | null)?.cursor
  return typeof cursor === 'string' ? { ...answer, [eventCursor]: cursor } : answer
}

/** Yields to the event loop after this many events, since a source that is always ready and a fast reader would otherwise block it. */
const eventsInATurn = 32

type AnswersOptions = {
  each: (event: unknown) => Promise<Answer>
  failed: (error: unknown) => Answer
  ended: AbortController
  detach: () => void
}

/** Each `next` pulls and answers one event, never ahead of the reader. A failing source yields its error and ends. */
function answersOf(events: AsyncIterable<unknown>, { each, failed, ended, detach }: AnswersOptions): Answers {
  const source = events[Symbol.asyncIterator]()
  let over = false
  const waiting = new Set<() => void>()

  const end = () => {
    if (over) return
    over = true
    detach()
    // Abort first: a source that waits on the signal can only handle `return` once it has woken.
    ended.abort()
    for (const release of waiting) release()
    void Promise.resolve(source.return?.()).catch(() => {})
  }
  ended.signal.addEventListener('abort', end, { once: true })
  if (ended.signal.aborted) end()

  let turn = 0
  const pull = async (release: () => void): Promise<IteratorResult<Answer, void>> => {
    try {
      if (++turn % eventsInATurn === 0) await nextTurn()
      const { done, value } = await source.next()
      if (!done) return { done: false, value: await each(value) }
      end()
      return { done: true, value: undefined }
    } catch (error) {
      if (over) return { done: true, value: undefined }
      // The waiting reader must receive the error rather than the end of the stream.
      waiting.delete(release)
      end()
      return { done: false, value: failed(error) }
    }
  }

  return {
    next: () =>
      new Promise((resolve) => {
        const release = () => resolve({ done: true, value: undefined })
        if (over) return release()
        waiting.add(release)
        void pull(release).then((result) => {
          waiting.delete(release)
          resolve(result)
        })
      }),
    async return() {
      end()
      return { done: true, value: undefined }
    },
    async throw(error) {
      end()
      throw error
    },
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      end()
    },
  }
}

type Refused = { refused: { error: DomainError; at: GraphQLError | null }[] }
type Checked = { document: DocumentNode } | Refused

const cachedDocumentsMost = 500
const cachedDocumentChars = 16_384
const validationRules = specifiedRules.filter((rule) => rule !== MaxIntrospectionDepthRule)

/** Parses and validates. Caches the results of the most recently used documents of ordinary size. */
function cachedDocuments(schema: GraphQLSchema): (query: string) => Checked {
  const cache = new Map<string, Checked>()
  return (query) => {
    const known = cache.get(query)
    const checked = known ?? check(schema, query)
    if (query.length > cachedDocumentChars) return checked
    if (known) cache.delete(query)
    cache.set(query, checked)
    if (cache.size > cachedDocumentsMost) cache.delete(cache.keys().next().value!)
    return checked
  }
}

function check(schema: GraphQLSchema, query: string): Checked {
  const oversized = exceededByText(query)
  if (oversized) return { refused: [{ error: oversized, at: null }] }
  let document: DocumentNode
  try {
    document = parse(query, { maxTokens: limits.tokens })
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error
    if (/more that \d+ tokens/.test(error.message)) return { refused: [{ error: limitExceeded('tokens'), at: null }] }
    return { refused: [{ error: graphqlErrors.graphql_parse_failed({ text: error.message }), at: error }] }
  }
  const large = exceeded(document)
  if (large) return { refused: [{ error: large, at: null }] }
  const invalid = validate(schema, document, validationRules, { maxErrors: 20 })
  if (invalid.length > 0)
    return { refused: invalid.map((at) => ({ error: graphqlErrors.graphql_validation_failed({ text: at.message }), at })) }
  const [deep] = validate(schema, document, [MaxIntrospectionDepthRule])
  if (deep) return { refused: [{ error: errors.query_limit_exceeded({ text: deep.message }), at: deep }] }
  return { document }
}
