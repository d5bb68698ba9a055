/**
 * The objects and lists of an answer, by levels: all values of one field, wherever in the answer they are. A level knows the place of each
 * of its containers, from which follow the path of an error and what becomes null because of it.
 */
import { type FieldNode, type GraphQLError, locatedError } from 'graphql'

export type Key = string | number

/** An object or a list of the answer. */
export type Container = { [key: Key]: unknown }

export class Level {
  readonly containers: Container[] = []
  readonly #up: Level | null
  /** Whether null may stand in place of a container. */
  readonly #nullable: boolean
  /** For each container the index of the one that contains it, one level up, and its key there. */
  readonly #rows: number[] = []
  readonly #keys: Key[] = []

  constructor(up: Level | null, nullable: boolean) {
    this.#up = up
    this.#nullable = nullable
  }

  /** Puts a container into its place. Returns its row. */
  add(container: Container, row: number, key: Key): number {
    if (this.#up) this.#up.containers[row]![key] = container
    this.#rows.push(row)
    this.#keys.push(key)
    return this.containers.push(container) - 1
  }

  /** The value under a key became null against its type: so does the nearest place above it that may be null. */
  nullify(row: number): void {
    if (this.#up === null) return
    if (this.#nullable) this.#up.containers[this.#rows[row]!]![this.#keys[row]!] = null
    else this.#up.nullify(this.#rows[row]!)
  }

  /** Whether a container is still part of the answer. */
  holds(row: number): boolean {
    const up = this.#up
    if (up === null) return true
    return up.containers[this.#rows[row]!]![this.#keys[row]!] === this.containers[row] && up.holds(this.#rows[row]!)
  }

  pathOf(row: number): Key[] {
    // The outermost level is the answer itself, whose `data` is no part of a path.
    const up = this.#up
    return up === null || up.#up === null ? [] : [...up.pathOf(this.#rows[row]!), this.#keys[row]!]
  }
}

/** The place of a value: a key of a container. */
export type Place = { level: Level; row: number; key: Key; nullable: boolean }

/** The errors of an answer, as graphql-js has them: located, and none below a place that an earlier one made null. */
export class Failures {
  readonly errors: GraphQLError[] = []

  /** The value at a place could not be had. */
  add(error: unknown, nodes: readonly FieldNode[], { level, row, key, nullable }: Place): void {
    if (!level.holds(row)) return
    this.errors.push(locatedError(error, nodes, [...level.pathOf(row), key]))
    if (nullable) level.containers[row]![key] = null
    else level.nullify(row)
  }

  /** The operation failed as a whole. */
  addOfOperation(error: unknown): void {
    this.errors.push(error as GraphQLError)
  }
}
