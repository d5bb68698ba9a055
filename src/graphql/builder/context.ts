/** What resolvers are given. Doors make one for each operation; faces use `call` and `load` and nothing else of a request. */
import DataLoader from 'dataloader'
import { ask, type Command, type CommandInput, execute, type Query, type Request, type Target } from '../../platform/command.ts'

export type GraphqlContext = Request & {
  /** Aborts when the operation's client is gone or its time is over. */
  signal: AbortSignal
  /** Runs a command or a query for the caller. */
  call: {
    <Input, Row extends Target | null, Result extends object>(command: Command<Input, Row, Result>, input: CommandInput): Promise<Result>
    <Input, Result>(query: Query<Input, Result>, input: Record<string, unknown>): Promise<Result>
  }
  /** Batches all keys of one name that a tick asks for; `batch` gives one value a key, in order. */
  load<Key, Value>(name: string, key: Key, batch: (keys: readonly Key[]) => Promise<readonly Value[]>): Promise<Value>
}

export function createGraphqlContext(request: Request, signal: AbortSignal = new AbortController().signal): GraphqlContext {
  const loaders = new Map<string, DataLoader<unknown, unknown>>()
  const call = (declared: Command<unknown, null, object> | Query<unknown, unknown>, input: Record<string, unknown>) => {
    // Nothing is begun for a client that is gone.
    signal.throwIfAborted()
    return 'emits' in declared ? execute(request, declared, input) : ask(request, declared, input)
  }
  return {
    ...request,
    signal,
    call: call as GraphqlContext['call'],
    load(name, key, batch) {
      let loader = loaders.get(name)
      if (!loader) {
        loader = new DataLoader(batch as (keys: readonly unknown[]) => Promise<readonly unknown[]>, { cache: false })
        loaders.set(name, loader)
      }
      return loader.load(key) as Promise<never>
    },
  }
}
