/**
 * Declarations of the concepts of the domain, and how they are assembled. Importing a module has no side effects: a command, event, reaction
 * or chore exists because its concept's `index.ts` lists it. The order of the concepts in `src/domain/index.ts` is the order in which
 * reactions run.
 */
import type { Chore, Claimed, Queue } from './claim.ts'
import type { Command, Query } from './command.ts'
import type { Statement } from './db/constraints.ts'
import type { ErrorConstructors, ErrorSpec } from './errors.ts'
import type { EventDefinition, EventTypes, Reaction } from './events.ts'
import { declareIdPrefixes, type IdPrefixes, isIdType } from './id.ts'
import type { Listing } from './listing.ts'
import type { Port } from './port.ts'
import type { SealedColumn } from './reseal.ts'
import type { App } from './work.ts'

// biome-ignore-start lint/suspicious/noExplicitAny: lists of declarations of any input, result, row and implementation
export type AnyCommand = Command<any, any, any, any>
export type AnyQuery = Query<any, any>
type AnyQueue = Queue<any>
type AnyPort = Port<any>
type AnyListing = Listing<any, any>
// biome-ignore-end lint/suspicious/noExplicitAny: as above

export type ConceptDeclaration = {
  /** The name of the concept's folder. */
  name: string
  commands?: readonly AnyCommand[]
  queries?: readonly AnyQuery[]
  events?: readonly EventDefinition[]
  /** The error constructors returned by `defineErrors`. */
  errors?: readonly ErrorConstructors[]
  /** Reactions run in the transaction of an event's change, after those of earlier concepts. */
  reactions?: readonly Reaction[]
  queues?: readonly AnyQueue[]
  chores?: readonly Chore[]
  /** Columns with sealed values. A column that isn't listed is not resealed when data keys are rotated. */
  sealed?: readonly SealedColumn[]
  /** Ports that main must provide before anything runs. */
  ports?: readonly AnyPort[]
  /** Additions to extension points of earlier concepts. */
  extensions?: readonly Extension[]
  /** Listings of its types with public ids, by which a row is found by its id alone. */
  nodes?: readonly AnyListing[]
  /** Schema objects that the models can't express. */
  constraints?: readonly Statement[]
  /** TypeID prefixes of its types, the same that it adds to `IdPrefixes`. */
  idPrefixes?: Partial<IdPrefixes>
}

export type Concept = Required<ConceptDeclaration>

/** Declares a concept. The order of each list is preserved. */
export const defineConcept = (declaration: ConceptDeclaration): Concept => ({
  commands: [],
  queries: [],
  events: [],
  errors: [],
  reactions: [],
  queues: [],
  chores: [],
  sealed: [],
  ports: [],
  extensions: [],
  idPrefixes: {},
  nodes: [],
  constraints: [],
  ...declaration,
})

/** A list that later concepts add to, such as the sources of variables. */
export type ExtensionPoint<Item> = {
  name: string
  /** An entry for the `extensions` of a concept. */
  with(item: Item): Extension
  /** All items, in the order of the concepts. */
  of(app: App): readonly Item[]
}

export type Extension = { point: ExtensionPoint<never>; item: unknown }

export function defineExtensionPoint<Item>(name: string): ExtensionPoint<Item> {
  const point: ExtensionPoint<Item> = {
    name,
    with: (item) => ({ point: point as ExtensionPoint<never>, item }),
    of: (app) => (app.domain.extensions.get(point as ExtensionPoint<never>) ?? []) as readonly Item[],
  }
  return point
}

/** All concepts together, used by `execute`, `publish`, the jobs, the generators and the contract tests. */
export type Domain = {
  concepts: readonly Concept[]
  commands: ReadonlyMap<string, AnyCommand>
  queries: ReadonlyMap<string, AnyQuery>
  eventTypes: EventTypes
  errors: ReadonlyMap<string, ErrorSpec>
  /** By event type. */
  reactions: ReadonlyMap<string, readonly Reaction[]>
  queues: readonly Queue<Claimed>[]
  chores: readonly Chore[]
  sealed: readonly SealedColumn[]
  extensions: ReadonlyMap<ExtensionPoint<never>, readonly unknown[]>
  /** By type. */
  nodes: ReadonlyMap<string, AnyListing>
}

/**
 * Assembles the concepts, from the ground up. Throws an Error that names the concept if something is declared twice, if a command, reaction or
 * job emits an event type that no concept declares, or if a concept reacts to or extends something that only a later one declares.
 */
export function assemble(concepts: readonly Concept[]): Domain {
  const names = namesOf<Concept>('concept')
  const commands = namesOf<AnyCommand>('command')
  const queries = namesOf<AnyQuery>('query')
  const events = namesOf<EventDefinition>('event type')
  const errors = namesOf<ErrorSpec>('error code')
  const nodes = namesOf<AnyListing>('node')
  const jobs = namesOf<AnyQueue | Chore>('job')
  const reactions = new Map<string, Reaction[]>()
  const extensions = new Map<ExtensionPoint<never>, unknown[]>()

  for (const concept of concepts) {
    names.add(concept, concept.name, concept)
    declareIdPrefixes(concept.idPrefixes)
    for (const command of concept.commands) commands.add(concept, command.name, command)
    for (const query of concept.queries) queries.add(concept, query.name, query)
    for (const event of concept.events) events.add(concept, event.type, event)
    for (const [code, { kind, text }] of concept.errors.flatMap((group) => Object.entries(group))) errors.add(concept, code, { kind, text })
    for (const job of [...concept.queues, ...concept.chores]) jobs.add(concept, job.name, job)
    for (const listing of concept.nodes) {
      if (!isIdType(listing.type)) throw new Error(`${concept.name} declares nodes of type ${listing.type} without its id prefix`)
      nodes.add(concept, listing.type, listing)
    }
    demandDeclared(concept, events.all)
    for (const reaction of concept.reactions) for (const { type } of reaction.to) append(reactions, type, reaction)
    for (const { point, item } of concept.extensions) append(extensions, point, item)
  }

  return {
    concepts,
    commands: commands.all,
    queries: queries.all,
    eventTypes: {
      all: [...events.all.values()].sort((a, b) => (a.type < b.type ? -1 : 1)),
      get: (type) => events.all.get(type),
    },
    errors: errors.all,
    nodes: nodes.all,
    reactions,
    extensions,
    queues: concepts.flatMap((concept) => concept.queues),
    chores: concepts.flatMap((concept) => concept.chores),
    sealed: concepts.flatMap((concept) => concept.sealed),
  }
}

/** Declarations by name, of which each may be made once. */
function namesOf<Declared>(what: string) {
  const all = new Map<string, Declared>()
  const add = (concept: Concept, name: string, declared: Declared) => {
    if (all.has(name)) throw new Error(`${what} ${name} is declared twice, the second time by ${concept.name}`)
    all.set(name, declared)
  }
  return { all, add }
}

function append<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  lists.set(key, [...(lists.get(key) ?? []), value])
}

type Emitter = { name: string; emits: readonly EventDefinition[] }

/** Everything of a concept that emits events, with a name for messages: commands, reactions, queues, chores and what it adds to extension points. */
export const emittersOf = ({ commands, reactions, queues, chores, extensions }: Concept): Emitter[] => [
  ...[...commands, ...queues, ...chores].map(({ name, emits = [] }) => ({ name, emits })),
  ...reactions.map(({ to, emits }) => ({ name: `the reaction to ${to.map(({ type }) => type).join(', ')}`, emits })),
  ...extensions.map(({ point, item }) => ({ name: `its ${point.name}`, emits: (item as Partial<Emitter> | null)?.emits ?? [] })),
]

/** Whatever a concept emits or reacts to is declared by it or an earlier one. */
function demandDeclared(concept: Concept, events: ReadonlyMap<string, EventDefinition>): void {
  const isDeclared = (event: EventDefinition) => events.get(event.type) === event
  for (const { name, emits } of emittersOf(concept)) {
    const unknown = emits.find((event) => !isDeclared(event))
    if (unknown) throw new Error(`${name} of ${concept.name} emits ${unknown.type}, which neither it nor an earlier concept declares`)
  }
  const strange = concept.reactions.flatMap(({ to }) => to).find((event) => !isDeclared(event))
  if (strange) throw new Error(`${concept.name} reacts to ${strange.type}, which neither it nor an earlier concept declares`)
}

/** Throws an Error that names the ports without an implementation. */
export function demandProviders(app: App): void {
  const missing = app.domain.concepts
    .flatMap(({ name, ports }) => ports.map((port) => ({ name, port })))
    .filter(({ port }) => !port.isOptional && !port.isProvided(app))
  if (missing.length > 0) throw new Error(`nothing provides ${missing.map(({ name, port }) => `${port.name} of ${name}`).join(', ')}`)
}
