/** What resolvers are given. Doors make one for each operation; faces use `call` and `load` and nothing else of a request. */
import DataLoader from 'dataloader'
import { ask, type Command, type CommandInput, execute, type Query, type Request, type Target } from '../../platform/command.ts'
import { createPace, type Pace } from '../../platform/pace.ts'
import { createRoom, type Room } from './room.ts'

export type GraphqlContext = Request & {
  /** Aborts when the operation's client is gone or its time is over. */
  signal: AbortSignal
  /** Runs a command or a query for the caller. */
  call: {
    <Input, Row extends Target | null, Result extends object>(command: Command<Input, Row, Result>, input: CommandInput): Promise<Result>
    <Input, Result>(query: Query<Input, Result>, input: Record<string, unknown>, columns?: readonly string[]): Promise<Result>
  }
  /** Of the operation: a long one is computed in turns with all others. */
  pace: Pace
  /** What the answer may still hold; whoever reads large texts takes them from here. */
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
    // Nothing is begun for a client that is gone.
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
        // Siblings that wait for a turn ask later: their keys belong to the same batch.
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
