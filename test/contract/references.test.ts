/** The database keeps organizations apart: whatever a statement does, a row never refers to one of another organization. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { rows, run, sql } from '../../src/platform/db/index.ts'
import { createWorld, type World } from '../support/tenant.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world?.close())

/** Foreign keys between two tables of organizations that could lead from one organization into another. */
const foreignKeysBetweenOrganizations = async (): Promise<string[]> => {
  const found = await rows<{ name: string }>(
    world.app.db,
    sql`with tenant as (
          select a.attrelid as id, a.attnum as organization from pg_attribute a join pg_class c on c.oid = a.attrelid
          where a.attname = 'organization_id' and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace)
        select k.conrelid::regclass || ' ' || k.conname as name
        from pg_constraint k join tenant s on s.id = k.conrelid join tenant t on t.id = k.confrelid
        where k.contype = 'f'
          and not exists (select 1 from unnest(k.conkey, k.confkey) as pair(own, its) where pair.own = s.organization and pair.its = t.organization)
        order by 1`,
  )
  return found.map(({ name }) => name)
}

/** Tables of the installation. Every other table has the organization, or hangs on a row that has it or on a person's account. */
const ofInstallation = [
  'acme_account',
  'disk_removal',
  'environment_change',
  'event_subject',
  'lease',
  'login_attempt',
  'master_key_check',
  'organization',
  'rate_limit',
  'reveal_allowance',
  'route_change',
  'router',
  'runtime_setting',
  'sequencer',
  'sign_up',
  'signing_key',
  'used_challenge',
  'webhook_fan_out',
  'webhook_lane',
]

const tablesWithoutOrganization = async (): Promise<string[]> => {
  const found = await rows<{ name: string }>(
    world.app.db,
    sql`with recursive tenant(id) as (
          select a.attrelid from pg_attribute a where a.attname = 'organization_id' union select 'user_account'::regclass
          union
          select k.conrelid from pg_constraint k join tenant t on t.id = k.confrelid where k.contype = 'f' and k.confdeltype in ('c', 'r'))
        select c.relname as name from pg_class c
        where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.oid not in (select id from tenant) and c.relname not like '\\_%'
        order by 1`,
  )
  return found.map(({ name }) => name)
}

it('every foreign key between tables of organizations contains the organization', async () => {
  expect(await foreignKeysBetweenOrganizations()).toEqual([])
})

it('every table has the organization, hangs on one that has it or on an account, or is of the installation', async () => {
  expect(await tablesWithoutOrganization()).toEqual(ofInstallation)
})

it('a planted foreign key and a planted table are found', async () => {
  const { db } = world.app
  await run(db, sql`create table planted_parent (id uuid primary key, organization_id uuid not null, unique (id, organization_id))`)
  await run(
    db,
    sql`create table planted_child (parent_id uuid constraint loose references planted_parent (id), organization_id uuid not null)`,
  )
  await run(
    db,
    sql`create table planted_swap (parent_id uuid, organization_id uuid not null,
          constraint swapped foreign key (organization_id, parent_id) references planted_parent (id, organization_id))`,
  )
  await run(db, sql`create table planted_stranger (id uuid primary key)`)
  expect(await foreignKeysBetweenOrganizations()).toEqual(['planted_child loose', 'planted_swap swapped'])
  expect(await tablesWithoutOrganization()).toEqual([...ofInstallation, 'planted_stranger'].sort())
})
