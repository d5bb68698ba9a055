/** Valid texts: names must be visible, and optional texts are cleared only by null. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject, updateProject } from '../../../src/domain/apps/project/index.ts'
import { updateWebService } from '../../../src/domain/apps/web-service/index.ts'
import { execute, parseInput } from '../../../src/platform/command.ts'
import { DomainError } from '../../../src/platform/errors.ts'
import { nameSchema } from '../../../src/platform/name.ts'
import { createTenant, createWorld, refusal, request, type Tenant, type World } from '../../support/tenant.ts'
import { project, webService } from './support.ts'

let world: World
let tenant: Tenant
beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
})
afterAll(() => world?.close())
const as = () => request(world.app, tenant.owner)

const taken = (name: string): string | null => {
  try {
    return parseInput(nameSchema, name)
  } catch (error) {
    if (error instanceof DomainError && error.code === 'invalid_input') return null
    throw error
  }
}

/** Marks of direction, joiners, fillers, variation selectors, tags, spaces. */
const unseen = [
  ...['\u202a', '\u202b', '\u202c', '\u202d', '\u202e', '\u2066', '\u2067', '\u2068', '\u2069', '\u200e', '\u200f', '\u061c'],
  ...['\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u00ad', '\u034f', '\u180e', '\u3164', '\uffa0', '\u115f', '\u2800', '\ufe0f'],
  ...['\u{e0001}', '\u{e0061}', '\u{e0100}', ' ', '\u00a0', '\u2003', '\u3000', '\u2028'],
]
const seen = ['a', '7', '-', '!', 'é', '名', 'ש', 'ا', '😀', '️⃣', '₿']

describe('a name', () => {
  it('without a visible character is rejected', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...unseen), { maxLength: 40 }), (parts) => {
        expect(taken(parts.join(''))).toBeNull()
      }),
    )
  })

  it('with a visible character is accepted, whatever else it contains', () => {
    const some = fc.array(fc.constantFrom(...unseen), { maxLength: 10 })
    fc.assert(
      fc.property(some, fc.constantFrom(...seen), some, (before, it, after) => {
        const name = [...before, it, ...after].join('')
        expect(taken(name)).toBe(name.trim())
      }),
    )
  })

  it('with a control character or an unpaired surrogate is rejected, in any position', () => {
    const bad = fc.constantFrom('\0', '\n', '\u001f', '\u007f', '\u0085', '\u009f', '\ud800', '\udfff')
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 20 }), bad, fc.string({ minLength: 1, maxLength: 20 }), (before, it, after) => {
        expect(taken(`a${before}${it}${after}z`)).toBeNull()
      }),
    )
  })

  it('is rejected by the command with its field, and nothing is created', async () => {
    const error = await refusal(execute(as(), createProject, { name: '\u202e\u200b' }))
    expect(error).toMatchObject({ code: 'invalid_input', field: 'name', message: 'name: must contain a visible character' })
  })
})

describe('an optional text', () => {
  const fields = ['buildCommand', 'releaseCommand', 'startCommand', 'rootDirectory', 'publishDirectory', 'healthCheckPath', 'repositoryUrl']

  it.each([...fields, 'branch'])('%s is rejected if it is empty', async (field) => {
    const service = await webService(world.app, tenant.owner, {})
    const expected = { code: 'invalid_input', field }
    expect(await refusal(webService(world.app, tenant.owner, { [field]: '' }))).toMatchObject(expected)
    expect(await refusal(execute(as(), updateWebService, { id: service.id, [field]: '' }))).toMatchObject(expected)
  })

  it('is cleared by null', async () => {
    const set = {
      ...Object.fromEntries(fields.map((field) => [field, 'x'])),
      healthCheckPath: '/x',
      repositoryUrl: 'https://git.example.com/x.git',
    }
    const service = await webService(world.app, tenant.owner, set)
    expect(service).toMatchObject(set)
    const nulls = Object.fromEntries(fields.map((field) => [field, null]))
    expect((await execute(as(), updateWebService, { id: service.id, ...nulls })).webService).toMatchObject(nulls)
  })

  it('follows the same rules as the description of a project', async () => {
    const expected = { code: 'invalid_input', field: 'description', message: 'description: must not be empty; to clear it, set it to null' }
    expect(await refusal(project(world.app, tenant.owner, { description: '' }))).toMatchObject(expected)
    const made = await project(world.app, tenant.owner, { description: 'Sells.' })
    expect(await refusal(execute(as(), updateProject, { id: made.id, description: '' }))).toMatchObject(expected)
    expect((await execute(as(), updateProject, { id: made.id, description: null })).project.description).toBeNull()
  })
})

it('an idempotency key that cannot be stored is rejected', async () => {
  for (const idempotencyKey of ['a\ud800', 'a\0']) {
    const error = await refusal(execute(as(), createProject, { name: 'x', idempotencyKey }))
    expect(error).toMatchObject({ code: 'invalid_input', field: 'idempotencyKey' })
  }
})
