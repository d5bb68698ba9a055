import { expect, it } from 'vitest'
import { z } from 'zod'
import { userListing } from '../../src/domain/access/user/index.ts'
import { concepts } from '../../src/domain/index.ts'
import { defineCommand, defineQuery } from '../../src/platform/command.ts'
import { assemble, type Concept, defineConcept, defineExtensionPoint, demandProviders } from '../../src/platform/concept.ts'
import { defineErrors } from '../../src/platform/errors.ts'
import { defineEvent, onEvent } from '../../src/platform/events.ts'
import { definePort } from '../../src/platform/port.ts'
import type { App } from '../../src/platform/work.ts'

const happened = defineEvent({
  type: 'thing.happened',
  version: 1,
  description: 'A thing happened.',
  subject: 'Project',
  schema: z.object({}),
  sample: {},
})
const command = (name: string, emits: (typeof happened)[] = []) =>
  defineCommand({
    name,
    description: 'Does a thing.',
    permission: 'manage:projects',
    ids: {},
    targetType: null,
    input: z.object({}),
    emits,
    run: async () => ({}),
  })
const query = defineQuery({
  name: 'things',
  description: 'Things.',
  permission: null,
  ids: {},
  input: z.object({}),
  run: async () => [],
})
const errors = defineErrors({ thing_gone: { kind: 'conflict', text: 'The thing is gone.' } })
const chore = { name: 'tidy', topic: null, everyMs: 1_000, run: async () => {} }
const reaction = onEvent(happened, async () => {})

/** Only what the assembly reads of an App. */
const appOf = (all: readonly Concept[]) => ({ domain: assemble(all) }) as App

it.each([
  ['a concept', defineConcept({ name: 'first' }), 'concept first'],
  ['a command', defineConcept({ name: 'second', commands: [command('doThing')] }), 'command doThing'],
  ['a query', defineConcept({ name: 'second', queries: [query] }), 'query things'],
  ['an event type', defineConcept({ name: 'second', events: [happened] }), 'event type thing.happened'],
  ['an error code', defineConcept({ name: 'second', errors: [errors] }), 'error code thing_gone'],
  ['a chore', defineConcept({ name: 'second', chores: [chore] }), 'job tidy'],
])('%s that is declared twice is refused, by name', (_title, second, name) => {
  const first = defineConcept({
    name: 'first',
    commands: [command('doThing')],
    queries: [query],
    events: [happened],
    errors: [errors],
    chores: [chore],
  })
  expect(() => assemble([first, second])).toThrow(`${name} is declared twice`)
})

it.each([
  ['a command', defineConcept({ name: 'early', commands: [command('doThing', [happened])] }), 'doThing of early emits thing.happened'],
  ['a chore', defineConcept({ name: 'early', chores: [{ ...chore, emits: [happened] }] }), 'tidy of early emits thing.happened'],
  ['a reaction', defineConcept({ name: 'early', reactions: [reaction] }), 'early reacts to thing.happened'],
])('%s may not use an event type of a later concept, nor one that nobody declares', (_title, early, text) => {
  const late = defineConcept({ name: 'late', events: [happened] })
  expect(() => assemble([early])).toThrow(text)
  expect(() => assemble([early, late])).toThrow(text)
  expect(() => assemble([late, early])).not.toThrow()
})

it('reactions run in the order of the concepts', () => {
  const [first, second] = [onEvent(happened, async () => {}), onEvent(happened, async () => {})]
  const ground = defineConcept({ name: 'ground', events: [happened] })
  const lower = defineConcept({ name: 'lower', reactions: [first] })
  const upper = defineConcept({ name: 'upper', reactions: [second] })
  expect(assemble([ground, lower, upper]).reactions.get('thing.happened')).toEqual([first, second])
})

it('an extension point gives what concepts added, in their order, to the App that was assembled with them', () => {
  const colours = defineExtensionPoint<string>('colours')
  const red = defineConcept({ name: 'red', extensions: [colours.with('red')] })
  const blue = defineConcept({ name: 'blue', extensions: [colours.with('blue')] })
  expect(colours.of(appOf([red, blue]))).toEqual(['red', 'blue'])
  expect(colours.of(appOf([]))).toEqual([])
})

it('a node whose type has no id prefix is refused', () => {
  const listing = { ...userListing, type: 'Gadget' as never }
  expect(() => assemble([defineConcept({ name: 'gadget', nodes: [listing] })])).toThrow('gadget declares nodes of type Gadget without')
})

it('a port for which nothing is provided is named before anything runs; an optional one may be absent', () => {
  const [mail, spare] = [definePort<object>('mail'), definePort<object>('spare', { isOptional: true })]
  const app = appOf([defineConcept({ name: 'post', ports: [mail, spare] })])
  expect(() => demandProviders(app)).toThrow('nothing provides mail of post')
  mail.provide(app, {})
  expect(() => demandProviders(app)).not.toThrow()
})

it('the concepts of the product fit together', () => {
  expect(() => assemble(concepts)).not.toThrow()
})
