import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProject } from '../../src/domain/apps/project/index.ts'
import { execute } from '../../src/platform/command.ts'
import { run, sql } from '../../src/platform/db/index.ts'
import { encodeId, newId } from '../../src/platform/id.ts'
import {
  countOf,
  countsByParent,
  cursorOf,
  type Listing,
  maxPage,
  type PageInput,
  pageOf,
  pageSchema,
  pagesByParent,
  sliceOf,
} from '../../src/platform/page.ts'
import { codeOf, createTenant, createWorld, refusal, request, type Tenant, type World } from '../support/tenant.ts'

type Row = { id: string; projectId: string }

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
    await run(world.app.db.prisma, sql`delete from environment where project_id = ${project.id}::uuid`)
    for (let n = 0; n < size; n++) {
      await run(
        world.app.db.prisma,
        sql`insert into environment (id, organization_id, project_id, name, slug, type)
            values (${newId()}::uuid, ${tenant.organizationId}::uuid, ${project.id}::uuid, 'e', ${`e-${n}`}, 'STAGING')`,
      )
    }
  }
})
afterAll(() => world?.close())

const listing = (order: Listing['order']): Listing => ({
  type: 'Environment',
  select: sql`t.* from environment t`,
  where: sql`t.organization_id = ${tenant.organizationId}::uuid`,
  order,
})
const orders = ['oldest_first', 'newest_first'] as const
const cursor = (row: Row) => cursorOf('Environment', row)
const whole = async (list: Listing) => (await sliceOf<Row>(world.app.db.prisma, list, {})).rows.map(({ id }) => id)

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
            const page = await pageOf<Row>(
              world.app.db.prisma,
              list,
              backwards ? { last: size, before: edge } : { first: size, after: edge },
            )
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
    const page = await pageOf<Row>(world.app.db.prisma, list, {
      first: maxPage,
      after: encodeId('Environment', all[3]!),
      before: encodeId('Environment', all[9]!),
    })
    expect(page.rows.map(({ id }) => id)).toEqual(all.slice(4, 9))
  })

  it('continues after a row that was deleted', async () => {
    const list = listing(order)
    const all = await whole(list)
    const gone =
      order === 'oldest_first' ? encodeId('Environment', newId()) : encodeId('Environment', '00000000-0000-0000-0000-000000000001')
    expect((await pageOf(world.app.db.prisma, list, { first: 5, after: gone })).rows).toEqual([])
    expect((await pageOf<Row>(world.app.db.prisma, list, { last: 5, before: gone })).rows.map(({ id }) => id)).toEqual(all.slice(-5))
  })

  it('returns the same page for each of many parents as for one', async () => {
    const list = listing(order)
    const pages: PageInput[] = [{ first: 3 }, { last: 3 }, { first: 100 }, {}]
    for (const page of pages) {
      const together = await pagesByParent<Row>(world.app.db.prisma, list, sql`t.project_id`, parents, page)
      for (const [index, parent] of parents.entries()) {
        const alone = await pageOf<Row>(
          world.app.db.prisma,
          { ...list, where: sql`${list.where} and t.project_id = ${parent}::uuid` },
          page,
        )
        const mine = together[index]!
        expect({ ...mine, rows: mine.rows.map(({ id }) => id) }).toEqual({ ...alone, rows: alone.rows.map(({ id }) => id) })
      }
    }
    expect(await countsByParent(world.app.db.prisma, list, sql`t.project_id`, parents)).toEqual(sizes)
  })
})

it('a repeated or unknown parent duplicates nothing', async () => {
  const [, , seven] = parents
  const ids = [seven!, newId(), seven!]
  const pages = await pagesByParent<Row>(world.app.db.prisma, listing('oldest_first'), sql`t.project_id`, ids, { first: 10 })
  expect(pages.map((page) => [page.rows.length, page.hasNextPage])).toEqual([
    [7, false],
    [0, false],
    [7, false],
  ])
  expect(await countsByParent(world.app.db.prisma, listing('oldest_first'), sql`t.project_id`, ids)).toEqual([7, 0, 7])
  expect(await countOf(world.app.db.prisma, listing('oldest_first'))).toBe(38)
})

describe('paging arguments', () => {
  const page = (input: PageInput) => pageOf(world.app.db.prisma, listing('oldest_first'), input)

  it.each(['after', 'before'] as const)('a cursor of another list is refused: %s', async (field) => {
    for (const text of [encodeId('Project', newId()), newId(), 'env_', 'x', '', ' ', 'bnVsbA==']) {
      expect(await refusal(page({ first: 1, [field]: text }))).toMatchObject({ code: 'invalid_input', field })
      expect(
        await codeOf(pagesByParent(world.app.db.prisma, listing('oldest_first'), sql`t.project_id`, parents, { first: 1, [field]: text })),
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
      world.app.db.prisma,
      sql`insert into environment (id, organization_id, project_id, name, slug, type)
          select gen_random_uuid(), ${tenant.organizationId}::uuid, ${project.id}::uuid, 'e', 's-' || n, 'STAGING' from generate_series(1, 60) n`,
    )
    const own = { ...listing('oldest_first'), where: sql`t.project_id = ${project.id}::uuid and t.type = 'STAGING'` }
    expect((await pageOf(world.app.db.prisma, own, {})).rows).toHaveLength(50)
    const slice = await sliceOf(world.app.db.prisma, own, { limit: 7, offset: 58 })
    expect([slice.rows.length, slice.total]).toEqual([2, 60])
  })
})
