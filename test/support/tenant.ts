/** Organizations for tests, created like real ones, with callers of every scope. */
import { getOperationAST, parse, validate } from 'graphql'
import type pg from 'pg'
import { organizationCreated } from '../../src/domain/access/organization/index.ts'
import { createGraphqlContext } from '../../src/graphql/builder/context.ts'
import { administration, type Caller, type KeyScope, keyPermissions, rolePermissions, type SystemRole } from '../../src/platform/access.ts'
import type { Request } from '../../src/platform/command.ts'
import type { Concept } from '../../src/platform/concept.ts'
import { newRow, run, sql } from '../../src/platform/db/index.ts'
import { DomainError } from '../../src/platform/errors.ts'
import { publish } from '../../src/platform/events.ts'
import { encodeId, newId } from '../../src/platform/id.ts'
import { type App, transact, type Work } from '../../src/platform/work.ts'
import { createTestApp, type TestApp } from './app.ts'
import { createTestDatabase } from './database.ts'

export type Tenant = {
  organizationId: string
  /** A user with all permissions. */
  owner: Caller
  /** An API key of the owner with a scope, optionally limited to a project. */
  key(scope: KeyScope, projectId?: string | null): Caller
}

export async function createTenant(app: App, name = `acme-${newId()}`, role: SystemRole = 'OWNER'): Promise<Tenant> {
  const [organizationId, userId] = [newId(), newId()]
  const owner: Caller = {
    subject: { type: 'user', id: userId, name },
    userId,
    organizationId,
    permissions: rolePermissions(role),
    apiKeyId: null,
    sessionId: null,
    projectIds: null,
  }
  await transact(app, owner, { emits: app.domain.eventTypes.all }, async (work) => {
    await run(work.tx, sql`insert into organization ${newRow({ id: organizationId, name, slug: name })}`)
    await run(work.tx, sql`insert into user_account ${newRow({ id: userId, name, email: `${name}@quayside.localhost` })}`)
    const data = { organizationId: encodeId('Organization', organizationId), name, slug: name }
    await publish(work, organizationCreated, { subjectId: organizationId, projectId: null, data })
    if (role !== 'OWNER') await setRole(work, owner, role)
  })
  return {
    organizationId,
    owner,
    key(scope, projectId = null) {
      const id = newId()
      return {
        ...owner,
        subject: { type: 'api_key', id, name: scope },
        permissions: keyPermissions(scope, owner.permissions),
        apiKeyId: id,
        projectIds: projectId === null ? null : [projectId],
      }
    },
  }
}

/** The caller, as an administrator of the installation. */
export const administrator = (caller: Caller): Caller => ({ ...caller, permissions: new Set([...caller.permissions, administration]) })

/** Gives a user another system role in an organization, without waking anything. */
export const setRole = ({ tx }: Pick<Work, 'tx'>, { organizationId, userId }: Caller, role: SystemRole): Promise<unknown> =>
  run(
    tx,
    sql`update member m set role_id = r.id from role r
        where m.organization_id = ${organizationId}::uuid and m.user_id = ${userId}::uuid
          and r.organization_id = m.organization_id and r.system = ${role}::system_role`,
  )

export type World = {
  url: string
  app: TestApp
  /** Starts another process on the same database. */
  process(settings?: Record<string, string>): Promise<TestApp>
  close(): Promise<void>
}

/** A new database with one process. More can be added. `extra`: concepts of the test itself. */
export async function createWorld(settings: Record<string, string> = {}, extra: readonly Concept[] = []): Promise<World> {
  const database = await createTestDatabase()
  const apps: TestApp[] = []
  const process = async (own: Record<string, string> = {}) => {
    const app = await createTestApp(database.url, { ...settings, ...own }, extra)
    apps.push(app)
    return app
  }
  return {
    url: database.url,
    app: await process(),
    process,
    async close() {
      for (const app of apps.toReversed()) await app.close()
      await database.drop()
    },
  }
}

export const request = (app: App, caller: Caller): Request => ({ app, caller, requestId: 'test' })

/** The DomainError that a promise rejects with. Throws if it resolves or rejects with another error. */
export async function refusal(outcome: Promise<unknown>): Promise<DomainError> {
  const error = await outcome.then(
    () => new Error('expected a DomainError, but the promise resolved'),
    (reason: unknown) => reason,
  )
  if (error instanceof DomainError) return error
  throw error
}

/** The code of the DomainError that a promise rejects with, or `done` if it resolves. */
export const codeOf = (outcome: Promise<unknown>): Promise<string> =>
  outcome.then(
    () => 'done',
    (error: unknown) => {
      if (error instanceof DomainError) return error.code
      throw error
    },
  )

export type GraphqlAnswer = {
  // biome-ignore lint/suspicious/noExplicitAny: an answer of any shape
  data: Record<string, any> | null
  errors?: { message: string; path?: unknown[]; code: string; field?: string }[]
}

/** The product's schema and its executor, for tests that use them. */
async function loadProduct() {
  const [{ schema }, { createExecute }] = await Promise.all([
    import('../../src/graphql/schema.ts'),
    import('../../src/graphql/execute/index.ts'),
  ])
  return { schema, execute: createExecute(schema) }
}

let product: ReturnType<typeof loadProduct> | undefined

/** Executes a GraphQL operation for a caller, without HTTP. An error has the code of its DomainError, or `masked` if it is another error. */
export async function operation(app: App, caller: Caller, source: string, variables: Record<string, unknown> = {}): Promise<GraphqlAnswer> {
  product ??= loadProduct()
  const { schema, execute } = await product
  const document = parse(source)
  const invalid = validate(schema, document)
  const context = createGraphqlContext(request(app, caller))
  const answer =
    invalid.length > 0 ? { errors: invalid } : await execute({ document, operation: getOperationAST(document)!, variables, context })
  const errors = answer.errors?.map(({ message, path, originalError }) =>
    originalError instanceof DomainError
      ? { message, path: path as unknown[], code: originalError.code, field: originalError.field }
      : { message, path: path as unknown[], code: originalError ? 'masked' : 'graphql' },
  )
  return {
    data: 'data' in answer && answer.data ? (JSON.parse(JSON.stringify(answer.data)) as GraphqlAnswer['data']) : null,
    ...(errors ? { errors } : {}),
  }
}

/** The statements that an act sends. */
export async function statementsOf(app: App, act: () => Promise<unknown>): Promise<string[]> {
  const texts: string[] = []
  const off = app.db.onStatement((text) => texts.push(text))
  try {
    await act()
  } finally {
    off()
  }
  return texts
}

/** Bytes of the rows that the database sends for what an act reads. */
export async function rowBytesOf(app: App, act: () => Promise<unknown>): Promise<number> {
  let bytes = 0
  const listened = new Set<pg.Connection>()
  const count = ({ length }: { length: number }) => {
    bytes += length
  }
  const listen = (client: pg.PoolClient) => {
    const { connection } = client as unknown as { connection: pg.Connection }
    if (!listened.has(connection)) connection.on('dataRow', count)
    listened.add(connection)
  }
  app.db.pool.on('acquire', listen)
  try {
    await act()
  } finally {
    app.db.pool.off('acquire', listen)
    for (const connection of listened) connection.off('dataRow', count)
  }
  return bytes
}
