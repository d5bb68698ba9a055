import { z } from 'zod'
import type { Project } from '../../../generated/prisma/client.ts'
import type { Caller } from '../../../platform/access.ts'
import { defineQuery, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { countOf, type Listing, pageOf, pageSchema, sliceInput, sliceOf } from '../../../platform/page.ts'

export const projectListing = (caller: Caller): Listing => ({
  type: 'Project',
  select: sql`t.* from project t`,
  where: visible(caller, sql`t`, sql`id`),
  order: 'oldest_first',
})

export const listProjects = defineQuery({
  name: 'projects',
  description: 'Projects visible to the caller, oldest first.',
  permission: 'view:projects',
  ids: {},
  input: pageSchema,
  run: (read, page) => pageOf<Project>(read.tx, projectListing(read.caller), page),
})

export const sliceProjects = defineQuery({
  name: 'projectSlice',
  description: 'Projects visible to the caller by offset, with their total number.',
  permission: 'view:projects',
  ids: {},
  input: z.object(sliceInput),
  run: (read, slice) => sliceOf<Project>(read.tx, projectListing(read.caller), slice),
})

export const countProjects = defineQuery({
  name: 'projectCount',
  description: 'Number of projects visible to the caller.',
  permission: 'view:projects',
  ids: {},
  input: z.object({}),
  run: (read) => countOf(read.tx, projectListing(read.caller)),
})

/** For what is found by either. */
export const idOrSlug = z
  .object({ id: z.string().nullish(), slug: z.string().nullish() })
  .refine((input) => Boolean(input.id) !== Boolean(input.slug), { error: 'exactly one of id and slug is required', path: ['id'] })

export const findProject = defineQuery({
  name: 'project',
  description: 'Project with the given ID or slug. Null if it does not exist.',
  permission: 'view:projects',
  ids: { id: 'Project' },
  input: idOrSlug,
  run: (read, { id, slug }) =>
    row<Project>(
      read.tx,
      sql`select t.* from project t where ${id ? sql`t.id = ${id}::uuid` : sql`t.slug = ${slug}`} and ${visible(read.caller, sql`t`, sql`id`)}`,
    ),
})
