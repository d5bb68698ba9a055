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
  const commands = new Map<string, AnyCommand>()
  const queries = new Map<string, AnyQuery>()
  const events = new Map<string, EventDefinition>()
  const errors = new Map<string, ErrorSpec>()
  const reactions = new Map<string, Reaction[]>()
  const extensions = new Map<ExtensionPoint<never>, unknown[]>()
  const nodes = new Map<string, AnyListing>()
  const names = new Set<string>()
  const unique = (concept: Concept, what: string, name: string, known: { has(name: string): boolean }) => {
    if (known.has(name)) throw new Error(`${what} ${name} is declared twice, the second time by ${concept.name}`)
  }

  for (const concept of concepts) {
    unique(concept, 'concept', concept.name, names)
    names.add(concept.name)
    for (const event of concept.events) {
      unique(concept, 'event type', event.type, events)
      events.set(event.type, event)
    }
    declareIdPrefixes(concept.idPrefixes)
    for (const listing of concept.nodes) {
      unique(concept, 'node', listing.type, nodes)
      if (!isIdType(listing.type)) throw new Error(`${concept.name} declares nodes of type ${listing.type} without its id prefix`)
      nodes.set(listing.type, listing)
    }
    for (const command of concept.commands) {
      unique(concept, 'command', command.name, commands)
      commands.set(command.name, command)
    }
    for (const query of concept.queries) {
      unique(concept, 'query', query.name, queries)
      queries.set(query.name, query)
    }
    for (const [code, spec] of concept.errors.flatMap((group) => Object.entries(group))) {
      unique(concept, 'error code', code, errors)
      errors.set(code, { kind: spec.kind, text: spec.text })
    }
    for (const reaction of concept.reactions) {
      for (const { type } of reaction.to) {
        if (!events.has(type)) throw new Error(`${concept.name} reacts to ${type}, which neither it nor an earlier concept declares`)
        reactions.set(type, [...(reactions.get(type) ?? []), reaction])
      }
    }
    for (const { point, item } of concept.extensions) extensions.set(point, [...(extensions.get(point) ?? []), item])
    demandDeclared(concept, events)
  }

  const chores = concepts.flatMap((concept) => concept.chores)
  const queues = concepts.flatMap((concept) => concept.queues)
  for (const [index, { name }] of [...queues, ...chores].entries()) {
    if ([...queues, ...chores].findIndex((other) => other.name === name) !== index) throw new Error(`job ${name} is declared twice`)
  }
  return {
    concepts,
    commands,
    queries,
    eventTypes: { all: [...events.values()].sort((a, b) => (a.type < b.type ? -1 : 1)), get: (type) => events.get(type) },
    errors,
    reactions,
    queues,
    chores,
    sealed: concepts.flatMap((concept) => concept.sealed),
    extensions,
    nodes,
  }
}

/** Everything of a concept that emits events, with a name for messages: commands, reactions, queues and chores. */
export const emittersOf = ({ commands, reactions, queues, chores }: Concept): { name: string; emits: readonly EventDefinition[] }[] => [
  ...[...commands, ...queues, ...chores].map(({ name, emits = [] }) => ({ name, emits })),
  ...reactions.map(({ to, emits }) => ({ name: `the reaction to ${to.map(({ type }) => type).join(', ')}`, emits })),
]

function demandDeclared(concept: Concept, events: ReadonlyMap<string, EventDefinition>): void {
  for (const { name, emits } of emittersOf(concept)) {
    const unknown = emits.find((event) => events.get(event.type) !== event)
    if (unknown) throw new Error(`${name} of ${concept.name} emits ${unknown.type}, which neither it nor an earlier concept declares`)
  }
}

/** Throws an Error that names the ports without an implementation. */
export function demandProviders(app: App): void {
  const missing = app.domain.concepts
    .flatMap(({ name, ports }) => ports.map((port) => ({ name, port })))
    .filter(({ port }) => !port.isOptional && !port.isProvided(app))
  if (missing.length > 0) throw new Error(`nothing provides ${missing.map(({ name, port }) => `${port.name} of ${name}`).join(', ')}`)
}
