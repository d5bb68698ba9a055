/** The context of resolvers, created for each operation. A concept's GraphQL fields use `call` and `load`, and nothing else of the request. */
import DataLoader from 'dataloader'
import { ask, type Command, type CommandInput, execute, type Query, type Request, type Target } from '../../platform/command.ts'
import { createPace, type Pace } from '../../platform/pace.ts'
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
  /** Batches all keys of one name that a tick asks for; `batch` gives one value a key, in order. Rejects when `signal` has aborted. */
  load<Key, Value>(name: string, key: Key, batch: (keys: readonly Key[]) => Promise<readonly Value[]>): Promise<Value>
}

export function createGraphqlContext(request: Request, signal: AbortSignal = new AbortController().signal): GraphqlContext {
  const loaders = new Map<string, DataLoader<unknown, unknown>>()
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
  const unlessGone = <Keys>(keys: Keys): Keys => {
    signal.throwIfAborted()
    return keys
  }
  return {
    ...request,
    signal,
    pace,
    room: createRoom(),
    call: call as GraphqlContext['call'],
    load(name, key, batch) {
      let loader = loaders.get(name)
      if (!loader) {
        const read = batch as (keys: readonly unknown[]) => Promise<readonly unknown[]>
        // Siblings that wait for a turn load later, but their keys belong to the same batch.
        loader = new DataLoader(async (keys) => read(unlessGone(keys)), { cache: false, batchScheduleFn: pace.whenIdle })
        loaders.set(name, loader)
      }
      return loader.load(key).then((value) => {
        const turn = pace.next()
        return turn ? turn.then(() => value) : value
      }) as Promise<never>
    },
  }
}
