/** The context of resolvers, created for each operation. A concept's GraphQL fields use `call` and `load`, and nothing else of the request. */
import { ask, type Command, type CommandInput, execute, type Query, type Request, type Target } from '../../platform/command.ts'
import { createPace, type Pace } from '../../platform/pace.ts'
import { createLoad, type Load } from './loader.ts'
import { createRoom, type Room } from './room.ts'

export type GraphqlContext = Request & {
  /** Aborts when the client has disconnected or the operation's deadline has passed. */
  signal: AbortSignal
  /** Runs a command or a query for the caller. */
  call: {
    <Input, Row extends Target | null, Result extends object>(command: Command<Input, Row, Result>, input: CommandInput): Promise<Result>
    <Input, Result>(query: Query<Input, Result>, input: Record<string, unknown>, columns?: readonly string[]): Promise<Result>
  }
  /** The pace of the operation. A long operation takes turns with all others. */
  pace: Pace
  /** The remaining size of the answer. Resolvers that read large texts must deduct them. */
  room: Room
  /** Reads the values of all keys together that are asked for under one name. Rejects when `signal` has aborted. */
  load: Load
}

export function createGraphqlContext(request: Request, signal: AbortSignal = new AbortController().signal): GraphqlContext {
  const pace = createPace(signal)
  const call = (
    declared: Command<unknown, null, object> | Query<unknown, unknown>,
    input: Record<string, unknown>,
    columns?: readonly string[],
  ) => {
    // Don't start anything for a client that has disconnected.
    signal.throwIfAborted()
    return 'emits' in declared ? execute(request, declared, input) : ask(request, declared, input, columns)
  }
  const { app, caller, requestId } = request
  return {
    app,
    caller,
    requestId,
    signal,
    pace,
    room: createRoom(),
    call: call as GraphqlContext['call'],
    load: createLoad(pace, signal),
  }
}
