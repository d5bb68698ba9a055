/**
 * Values that many rows ask for, read together: everything that is asked for under one name until nothing else can continue. What a row
 * gets is a part of its batch, so that the executor can wait for the batch instead of for each row.
 */
import type { Pace } from '../../platform/pace.ts'

/** One value a key, in order. */
export type ReadBatch<Key, Value> = (keys: readonly Key[]) => Promise<readonly Value[]>

/** What was asked for together. It is read when it is closed. */
export class Batch<Key = unknown, Value = unknown> {
  readonly pace: Pace
  readonly #keys: Key[] = []
  readonly #done = Promise.withResolvers<readonly Value[]>()

  constructor(pace: Pace) {
    this.pace = pace
    // Those who ask are told of a failure. If none of them listens any more, it is not to be reported as unhandled.
    this.#done.promise.catch(() => {})
  }

  ask(key: Key): Loading<Value> {
    this.#keys.push(key)
    return new Loading<Value>(this as unknown as Batch, this.#keys.length - 1)
  }

  close(read: ReadBatch<Key, Value>): void {
    this.#done.resolve(read(this.#keys))
  }

  /** Rejects if they cannot be read. */
  get values(): Promise<readonly Value[]> {
    return this.#done.promise
  }
}

/** A value that is read with others: a promise, which waits for its turn. The executor waits for its batch instead. */
export class Loading<Value> implements Promise<Value> {
  readonly [Symbol.toStringTag] = 'Loading'
  readonly batch: Batch
  readonly #at: number
  readonly #convert: ((value: unknown) => Value) | undefined

  constructor(batch: Batch, at: number, convert?: (value: unknown) => Value) {
    this.batch = batch
    this.#at = at
    this.#convert = convert
  }

  /** The value, of the values of the batch. Throws what the conversion throws. */
  of(values: readonly unknown[]): Value {
    const value = values[this.#at]
    return this.#convert ? this.#convert(value) : (value as Value)
  }

  /** What follows from the value, as a part of the same batch. */
  map<Result>(convert: (value: Value) => Result): Loading<Result> {
    const before = this.#convert
    return new Loading(this.batch, this.#at, before ? (value) => convert(before(value)) : (convert as (value: unknown) => Result))
  }

  // biome-ignore lint/suspicious/noThenProperty: it is awaited like a promise
  then<Result = Value, Failed = never>(
    onValue?: ((value: Value) => Result | PromiseLike<Result>) | null,
    onError?: ((reason: unknown) => Failed | PromiseLike<Failed>) | null,
  ): Promise<Result | Failed> {
    const { pace, values } = this.batch
    const value = values.then((all) => {
      const turn = pace.next()
      return turn ? turn.then(() => this.of(all)) : this.of(all)
    })
    return value.then(onValue, onError)
  }

  catch<Failed = never>(onError?: ((reason: unknown) => Failed | PromiseLike<Failed>) | null): Promise<Value | Failed> {
    return this.then(undefined, onError)
  }

  finally(onEnd?: (() => void) | null): Promise<Value> {
    return this.then().finally(onEnd)
  }
}

/** What is read alone, as a batch of its own. */
export function loadAlone<Value>({ pace }: { pace: Pace }, value: Promise<Value>): Loading<Value> {
  const batch = new Batch<null, Value>(pace)
  const loading = batch.ask(null)
  batch.close(async () => [await value])
  return loading
}

export type Load = <Key, Value>(name: string, key: Key, read: ReadBatch<Key, Value>) => Loading<Value>

export function createLoad(pace: Pace, signal: AbortSignal): Load {
  const open = new Map<string, Batch>()
  return <Key, Value>(name: string, key: Key, read: ReadBatch<Key, Value>) => {
    let batch = open.get(name) as Batch<Key, Value> | undefined
    if (!batch) {
      const opened = new Batch<Key, Value>(pace)
      open.set(name, opened as Batch)
      // Siblings that wait for a turn ask later, but their keys belong to the same batch.
      pace.whenIdle(() => {
        open.delete(name)
        opened.close(async (keys) => {
          signal.throwIfAborted()
          return read(keys)
        })
      })
      batch = opened
    }
    return batch.ask(key)
  }
}
