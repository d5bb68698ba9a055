import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkEnvironmentReads } from '../../src/cli/environment-wall.ts'
import { checkImports } from '../../src/cli/import-walls.ts'

const root = dirname(dirname(import.meta.dirname))
let tree: string

/** A checkout with one module in each folder that the planted modules import. */
const bystanders = {
  'src/domain/index.ts': '',
  'src/domain/apps/project/index.ts': '',
  'src/domain/apps/project/queries.ts': '',
  'src/domain/apps/project/graphql.ts': '',
  'src/domain/deploys/deployment/index.ts': '',
  'src/domain/deploys/deployment/ports.ts': '',
  'src/domain/deploys/instance/index.ts': '',
  'src/domain/deploys/instance/jobs.ts': '',
  'src/drivers/git/index.ts': '',
  'src/drivers/process/index.ts': '',
  'src/generated/prisma/client.ts': '',
  'src/graphql/builder.ts': '',
  'src/graphql/schema.ts': '',
  'src/jobs/index.ts': '',
  'src/main.ts': '',
  'src/platform/clock.ts': '',
  'src/platform/db/index.ts': '',
  'src/platform/db/prisma.ts': '',
  'src/rest/core/route.ts': '',
  'src/rest/oec/dialect.ts': '',
  'src/rest/platform/dialect.ts': '',
  'test/support/black-box.ts': '',
  'test/support/harness.ts': `import '../../src/main.ts'`,
}

beforeEach(async () => {
  tree = await mkdtemp(join(tmpdir(), 'quayside-test-'))
  await cp(join(root, '.dependency-cruiser.mjs'), join(tree, '.dependency-cruiser.mjs'))
  await symlink(join(root, 'node_modules'), join(tree, 'node_modules'))
  // An import that is always allowed, because a tree without imports counts as unseen.
  await plant({ ...bystanders, 'src/platform/id.ts': `import './clock.ts'` })
})

afterEach(async () => {
  await rm(tree, { recursive: true })
})

async function plant(files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(tree, path)), { recursive: true })
    await writeFile(join(tree, path), `${text}\nexport type Planted = string\n`)
  }
}

it('nothing but the command `key` asks for the Prisma client', async () => {
  const files = (await readdir(join(root, 'src'), { recursive: true })).filter(
    (name) => /\.m?[jt]s$/.test(name) && !name.startsWith('generated'),
  )
  const asking = []
  for (const file of files) if ((await readFile(join(root, 'src', file), 'utf8')).includes('prismaClient(')) asking.push(file)
  expect(asking.sort()).toEqual(['cli/key.ts', 'platform/db/index.ts'])
})

describe('the import check', () => {
  it('finds nothing in a tree without a violation', async () => {
    expect(await checkImports(tree)).toEqual([])
  })

  it.each([
    ['a domain that imports a driver', 'src/domain/apps/project/commands.ts', '../../../drivers/git/index.ts', 'concept'],
    ['a domain that imports a room', 'src/domain/apps/project/jobs.ts', '../../../jobs/index.ts', 'concept'],
    [
      'an earlier floor that imports a later one',
      'src/domain/apps/project/commands.ts',
      '../../deploys/deployment/index.ts',
      'order-of-apps-project',
    ],
    [
      'an earlier concept that imports a later one of its floor',
      'src/domain/deploys/log/commands.ts',
      '../instance/index.ts',
      'order-of-deploys-log',
    ],
    [
      'a concept that goes past a front door',
      'src/domain/deploys/deployment/commands.ts',
      '../../apps/project/queries.ts',
      'concept-by-the-front-door',
    ],
    [
      'a face that goes past a front door',
      'src/domain/deploys/deployment/graphql.ts',
      '../../apps/project/queries.ts',
      'concept-face-by-the-front-doors',
    ],
    ['a face that imports the GraphQL room', 'src/domain/deploys/deployment/graphql.ts', '../../../graphql/schema.ts', 'concept-face'],
    ['a concept that imports its own face', 'src/domain/apps/project/commands.ts', './graphql.ts', 'concept-below-its-face'],
    [
      'a folder that is no known concept',
      'src/platform/log.ts',
      '../domain/apps/gadget/index.ts',
      'known-concept',
      'src/domain/apps/gadget/index.ts',
    ],
    [
      'a concept that imports the list of all',
      'src/domain/apps/project/commands.ts',
      '../../index.ts',
      'concepts-by-the-root',
      'src/domain/index.ts',
    ],
    ['a driver that imports another', 'src/drivers/git/clone.ts', '../process/index.ts', 'drivers'],
    ['a driver that imports a concept', 'src/drivers/git/clone.ts', '../../domain/apps/project/index.ts', 'drivers'],
    [
      'a driver that takes more than types from a port',
      'src/drivers/git/clone.ts',
      '../../domain/deploys/deployment/ports.ts',
      'ports-are-types',
    ],
    ['graphql that imports rest', 'src/graphql/server.ts', '../rest/core/route.ts', 'graphql'],
    ['graphql that goes past a front door', 'src/graphql/server.ts', '../domain/apps/project/queries.ts', 'graphql'],
    ['a builder that imports a concept', 'src/graphql/builder.ts', '../domain/apps/project/index.ts', 'graphql-builder'],
    ['rest that imports graphql', 'src/rest/platform/routes.ts', '../../graphql/schema.ts', 'rest'],
    ['a dialect that imports another', 'src/rest/platform/routes.ts', '../oec/dialect.ts', 'rest-dialects-apart'],
    ['the core of rest that imports a dialect', 'src/rest/core/mount.ts', '../oec/dialect.ts', 'rest-core-knows-no-dialect'],
    ['the S3 endpoint that goes past a front door', 'src/s3/index.ts', '../domain/apps/project/queries.ts', 's3'],
    ['jobs that import a driver', 'src/jobs/runner.ts', '../drivers/git/index.ts', 'jobs'],
    ['jobs that import a concept', 'src/jobs/runner.ts', '../domain/deploys/instance/jobs.ts', 'jobs'],
    ['a platform that imports the domain', 'src/platform/log.ts', '../domain/apps/project/index.ts', 'platform'],
    ['a platform that imports the generated client', 'src/platform/log.ts', '../generated/prisma/client.ts', 'platform'],
    ['platform/db that imports the domain', 'src/platform/db/rows.ts', '../../domain/apps/project/index.ts', 'platform-db'],
    [
      'a concept that takes more than types from the client',
      'src/domain/apps/project/queries.ts',
      '../../../generated/prisma/client.ts',
      'generated-types-only',
    ],
    ['pg outside platform/db', 'src/domain/apps/project/queries.ts', 'pg', 'database-by-platform-db'],
    ['the Prisma client outside platform/db', 'src/rest/core/route.ts', '@prisma/client', 'database-by-platform-db'],
    [
      'a module that loads the Prisma client with itself',
      'src/platform/db/index.ts',
      '../../generated/prisma/client.ts',
      'prisma-client-on-demand',
    ],
    [
      'a program that loads the Prisma client with itself',
      'src/cli/key.ts',
      '../platform/db/prisma.ts',
      'prisma-client-by-a-dynamic-import',
    ],
    ['a consumer that imports the platform', 'src/consumer/index.js', '../platform/clock.ts', 'consumer-stands-alone'],
    ['a consumer that imports another package', 'src/consumer/index.js', 'zod', 'consumer-uses-svix-only'],
    ['a starter that imports a module of ours', 'src/cli/boot.mjs', '../platform/clock.ts', 'boot-stands-alone'],
    ['a starter that imports a package', 'src/cli/boot.mjs', 'zod', 'boot-uses-node-only'],
    ['a program that imports a test', 'src/cli/check.ts', '../../test/support/harness.ts', 'src-without-tests'],
    [
      'a demo that imports more of the tests than their support',
      'src/cli/demo.ts',
      '../../test/rest/sample.ts',
      'demo-with-support-only',
      'test/rest/sample.ts',
    ],
    ['an acceptance test that imports the program', 'test/acceptance/deploy.test.ts', '../../src/main.ts', 'acceptance-is-a-black-box'],
    [
      'an acceptance test that reaches the program by a detour',
      'test/acceptance/deploy.test.ts',
      '../support/harness.ts',
      'acceptance-is-a-black-box',
    ],
    ['an import that leads nowhere', 'src/main.ts', './missing.ts', 'resolvable'],
  ])('catches %s', async (_, file, specifier, rule, besides?: string) => {
    await plant({ ...(besides === undefined ? {} : { [besides]: '' }), [file]: `import '${specifier}'` })
    expect(await checkImports(tree)).toContainEqual(expect.stringMatching(new RegExp(`^${rule}: ${file.replaceAll('.', '\\.')} -> `)))
  })

  it('accepts the imports that the rules allow', async () => {
    await plant({
      'src/cli/demo.ts': `import '../../test/support/harness.ts'`,
      'src/domain/apps/project/commands.ts': `import '../../../platform/db/index.ts'\nimport type { Planted } from '../../../generated/prisma/client.ts'`,
      'src/domain/deploys/deployment/commands.ts': `import '../instance/index.ts'\nimport '../../apps/project/index.ts'`,
      'src/domain/deploys/deployment/graphql.ts': `import '../../apps/project/graphql.ts'\nimport '../../../graphql/builder.ts'`,
      'src/domain/webhooks/endpoint/ports.ts': `import type { Planted } from '../../deploys/deployment/ports.ts'`,
      'src/drivers/git/clone.ts': `import type { Planted } from '../../domain/deploys/deployment/ports.ts'\nimport '../../platform/clock.ts'`,
      'src/graphql/builder.ts': `import type { Planted } from '../generated/prisma/client.ts'`,
      'src/graphql/schema.ts': `import '../domain/apps/project/graphql.ts'\nimport '../domain/apps/project/index.ts'`,
      'src/jobs/runner.ts': `import '../platform/clock.ts'`,
      'src/cli/open-app.ts': `import '../domain/index.ts'`,
      'src/main.ts': `import './drivers/git/index.ts'\nimport './jobs/index.ts'`,
      'src/platform/db/index.ts': `import 'pg'\nexport const load = () => import('./prisma.ts')`,
      'src/platform/db/prisma.ts': `import '../../generated/prisma/client.ts'`,
      'src/rest/platform/routes.ts': `import '../core/route.ts'\nimport '../../domain/apps/project/index.ts'`,
      'test/acceptance/deploy.test.ts': `import '../support/black-box.ts'`,
    })
    expect(await checkImports(tree)).toEqual([])
  })

  it('has the concepts in the order of src/domain/index.ts', async () => {
    const { floors } = (await import(pathToFileURL(join(root, '.dependency-cruiser.mjs')).href)) as { floors: Record<string, string[]> }
    const { concepts } = await import('../../src/domain/index.ts')
    // The platform declares itself as the first; it has rules of its own. A face may stand alone, as that of user does.
    const declared = concepts.map(({ name }) => name).filter((name) => name !== 'platform')
    expect(declared).toEqual(
      Object.values(floors)
        .flat()
        .filter((name) => declared.includes(name)),
    )
  })

  it('fails if it saw no import, instead of reporting success', async () => {
    await plant({ 'src/platform/id.ts': '', 'test/support/harness.ts': '' })
    expect(await checkImports(tree)).toEqual(['the import check saw no import at all'])
  })
})

describe('the environment check', () => {
  it('catches a read of the environment outside platform/settings, the starter and comments', async () => {
    await plant({
      'src/platform/settings.ts': 'export const all = process.env',
      'src/cli/boot.mjs': 'console.log(process.env.PATH)',
      'src/drivers/git/clone.ts': '// process.env is not read here',
      'src/drivers/git/fetch.ts': `export const path = process.env['PATH']`,
      'src/domain/apps/project/commands.ts': `import { env } from 'node:process'\nexport const all = env`,
    })
    expect((await checkEnvironmentReads(tree)).sort()).toEqual([
      `src/domain/apps/project/commands.ts:1 reads the environment; only src/platform/settings.ts may`,
      `src/drivers/git/fetch.ts:1 reads the environment; only src/platform/settings.ts may`,
    ])
  })
})
