import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createProject } from '../../src/domain/apps/project/index.ts'
import { execute } from '../../src/platform/command.ts'
import { fieldsOf, run, sql } from '../../src/platform/db/index.ts'
import { encodeId, newId } from '../../src/platform/id.ts'
import { defineListing, type Reader } from '../../src/platform/listing.ts'
import { cursorOf, maxPage, type PageInput, type PageOrder, pageSchema } from '../../src/platform/page.ts'
import { codeOf, createTenant, createWorld, refusal, request, statementsOf, type Tenant, type World } from '../support/tenant.ts'

let world: World
let tenant: Tenant
/** Projects with 0, 1, 7 and 30 environments in addition to production. */
let parents: string[]
const sizes = [0, 1, 7, 30]

beforeAll(async () => {
  world = await createWorld()
  tenant = await createTenant(world.app)
  parents = []
  for (const size of sizes) {
    const { project } = await execute(request(world.app, tenant.owner), createProject, { name: `of ${size}` })
    parents.push(project.id)
    await run(world.app.db, sql`delete from environment where project_id = ${project.id}::uuid`)
    for (let n = 0; n < size; n++) {
      await run(
        world.app.db,
        sql`insert into environment (id, organization_id, project_id, name, slug, type)
            values (${newId()}::uuid, ${tenant.organizationId}::uuid, ${project.id}::uuid, 'e', ${`e-${n}`}, 'STAGING')`,
      )
    }
  }
})
afterAll(() => world?.close())

const listing = (order: PageOrder) =>
  defineListing({
    type: 'Environment',
    noun: 'environment',
    permission: 'view:environments',
    order,
    filter: { projectId: z.string().nullish() },
    where: ({ projectId }) => (projectId ? [sql`t.project_id = ${projectId}::uuid`] : []),
  })
const orders = ['oldest_first', 'newest_first'] as const
const reader = (columns?: readonly string[]): Reader => ({ tx: world.app.db, caller: tenant.owner, columns })
const cursor = (row: { id: string }) => cursorOf('Environment', row)
const whole = async (list: ReturnType<typeof listing>) => (await list.slice(reader(), {}, {})).rows.map(({ id }) => id)

describe.each(orders)('a list, %s', (order) => {
  it('is paged in either direction with any page size: each row once, in order', async () => {
    const list = listing(order)
    const all = await whole(list)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: maxPage }), { minLength: 1, maxLength: 40 }),
        fc.boolean(),
        async (steps, backwards) => {
          const seen: string[] = []
          let edge: string | undefined
          for (let turn = 0; ; turn++) {
            const size = steps[turn % steps.length]!
            const page = await list.page(reader(), {}, backwards ? { last: size, before: edge } : { first: size, after: edge })
            const ids = page.rows.map(({ id }) => id)
            expect(ids.length).toBeLessThanOrEqual(size)
            if (backwards) seen.unshift(...ids)
            else seen.push(...ids)
            expect(backwards ? page.hasNextPage : page.hasPreviousPage).toBe(edge !== undefined)
            if (!(backwards ? page.hasPreviousPage : page.hasNextPage)) break
            edge = cursor(backwards ? page.rows[0]! : page.rows.at(-1)!)
          }
          expect(seen).toEqual(all)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('can be limited by both cursors at once', async () => {
    const list = listing(order)
    const all = await whole(list)
    const page = await list.page(
      reader(),
      {},
      { first: maxPage, after: encodeId('Environment', all[3]!), before: encodeId('Environment', all[9]!) },
    )
    expect(page.rows.map(({ id }) => id)).toEqual(all.slice(4, 9))
  })

  it('continues after a row that was deleted', async () => {
    const list = listing(order)
    const all = await whole(list)
    const gone =
      order === 'oldest_first' ? encodeId('Environment', newId()) : encodeId('Environment', '00000000-0000-0000-0000-000000000001')
    expect((await list.page(reader(), {}, { first: 5, after: gone })).rows).toEqual([])
    expect((await list.page(reader(), {}, { last: 5, before: gone })).rows.map(({ id }) => id)).toEqual(all.slice(-5))
  })

  it('returns the same page for each of many parents as for one', async () => {
    const list = listing(order)
    const pages: PageInput[] = [{ first: 3 }, { last: 3 }, { first: 100 }, {}]
    for (const page of pages) {
      const together = await list.pagesBelow(reader(), { parent: 'projectId', parentIds: parents, filter: {} }, page)
      for (const [index, parent] of parents.entries()) {
        const alone = await list.page(reader(), { projectId: parent }, page)
        const mine = together[index]!
        expect({ ...mine, rows: mine.rows.map(({ id }) => id) }).toEqual({ ...alone, rows: alone.rows.map(({ id }) => id) })
      }
    }
    expect(await list.countsBelow(reader(), { parent: 'projectId', parentIds: parents, filter: {} })).toEqual(sizes)
  })
})

it('a repeated or unknown parent duplicates nothing', async () => {
  const [, , seven] = parents
  const ids = [seven!, newId(), seven!]
  const list = listing('oldest_first')
  const below = { parent: 'projectId', parentIds: ids, filter: {} }
  const pages = await list.pagesBelow(reader(), below, { first: 10 })
  expect(pages.map((page) => [page.rows.length, page.hasNextPage])).toEqual([
    [7, false],
    [0, false],
    [7, false],
  ])
  expect(await list.countsBelow(reader(), below)).toEqual([7, 0, 7])
  expect(await list.count(reader(), {})).toBe(38)
})

describe('paging arguments', () => {
  const list = listing('oldest_first')
  const page = (input: PageInput) => list.page(reader(), {}, input)

  it.each(['after', 'before'] as const)('a cursor of another list is refused: %s', async (field) => {
    for (const text of [encodeId('Project', newId()), newId(), 'env_', 'x', '', ' ', 'bnVsbA==']) {
      expect(await refusal(page({ first: 1, [field]: text }))).toMatchObject({ code: 'invalid_input', field })
      expect(
        await codeOf(list.pagesBelow(reader(), { parent: 'projectId', parentIds: parents, filter: {} }, { first: 1, [field]: text })),
      ).toBe('invalid_input')
    }
  })

  it.each([
    { first: 0 },
    { first: -1 },
    { first: 101 },
    { last: 0 },
    { last: 101 },
    { first: 1.5 },
    { first: Number.NaN },
    { first: 1, last: 1 },
  ])('%j is refused', (input) => {
    expect(pageSchema.safeParse(input).success).toBe(false)
  })

  it('without a size, a page has 50 items', async () => {
    const { project } = await execute(request(world.app, tenant.owner), createProject, { name: 'many' })
    await run(
      world.app.db,
      sql`insert into environment (id, organization_id, project_id, name, slug, type)
          select gen_random_uuid(), ${tenant.organizationId}::uuid, ${project.id}::uuid, 'e', 's-' || n, 'STAGING' from generate_series(1, 60) n`,
    )
    const own = { projectId: project.id }
    expect((await list.page(reader(), own, {})).rows).toHaveLength(50)
    const slice = await list.slice(reader(), own, { limit: 7, offset: 58 })
    // With the production environment, which every project has.
    expect([slice.rows.length, slice.total]).toEqual([3, 61])
  })
})

describe('columns', () => {
  it('a row has the columns that it was read for, with its id, and refuses the others', async () => {
    const { rows: read } = await listing('oldest_first').page(reader(['name', 'slug']), {}, { first: 1 })
    expect(Object.keys(read[0]!).sort()).toEqual(['id', 'name', 'slug'])
    expect(() => read[0]!.projectId).toThrow('projectId was not selected')
  })

  it('rows below parents refuse them too', async () => {
    const below = { parent: 'projectId', parentIds: [parents[1]!], filter: {} }
    const [page] = await listing('oldest_first').pagesBelow(reader([]), below, {})
    expect(Object.keys(page!.rows[0]!)).toEqual(['id'])
    expect(() => page!.rows[0]!.name).toThrow('name was not selected')
  })

  it('without a choice all are read', async () => {
    const { rows: read } = await listing('oldest_first').page(reader(), {}, { first: 1 })
    expect(Object.keys(read[0]!).sort()).toEqual(fieldsOf('Environment').sort())
  })

  it('the same choice in any order is the same statement', async () => {
    const texts = await statementsOf(world.app, async () => {
      await listing('oldest_first').page(reader(['slug', 'name']), {}, { first: 1 })
      await listing('oldest_first').page(reader(['name', 'id', 'slug']), {}, { first: 2 })
    })
    expect(texts).toHaveLength(2)
    expect(texts[0]).toBe(texts[1])
  })
})
