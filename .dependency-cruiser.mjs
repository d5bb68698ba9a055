/**
 * The import rules ("walls"): which module may import which. They apply to our own modules; npm packages may be imported anywhere, except the
 * database driver and Prisma's client. `npm run check` applies the rules (src/cli/import-walls.ts); test/contract/walls.test.ts shows that
 * each rule catches a planted violation.
 */

/** Floors from the ground up, and the concepts of each in order: a concept may use those before it. */
export const floors = {
  access: [
    'organization',
    'job',
    'mail',
    'role',
    'member',
    'user',
    'session',
    'totp',
    'passkey',
    'ssh-key',
    'invitation',
    'api-key',
    'audit-log',
    'operation',
    'organization-deletion',
    'installation',
    'setting',
  ],
  apps: ['server', 'plan', 'project', 'environment', 'web-service', 'custom-domain'],
  configuration: ['variable', 'env-var', 'secret', 'secret-binding', 'resolution'],
  deploys: ['log', 'disk', 'instance', 'certificate', 'usage', 'deployment', 'environment-action'],
  resources: ['resource', 'resource-binding', 'database', 'database-replica', 'backup', 'redis', 'storage', 'stored-object', 'email'],
  odoo: ['module-update', 'odoo-instance', 'odoo-account', 'bridge-call', 'speed-test'],
  webhooks: ['event-type', 'endpoint', 'message', 'delivery', 'attempt'],
}

const ours = '^(src|test)/'
const platform = '^src/platform/'
const generated = '^src/generated/'
const builder = '^src/graphql/builder(\\.ts$|/)'
const concept = '^src/domain/[^/]+/[^/]+'
const door = (/** @type {string} */ files) => `${concept}/(${files})\\.ts$`
/** The GraphQL types of a concept: graphql.ts, or several files graphql-*.ts where one would be too long. */
const face = `${concept}/graphql[a-z-]*\\.ts$`
const concepts = Object.entries(floors).flatMap(([floor, names]) => names.map((name) => `${floor}/${name}`))

/**
 * The modules that a room may import; importing any other module of ours is a violation.
 * @param {string} name @param {object} from @param {string[]} allowed
 */
const room = (name, from, allowed) => ({ name, severity: 'error', from, to: { path: ours, pathNot: allowed } })

/** @param {string} name @param {object} from @param {object} to */
const never = (name, from, to) => ({ name, severity: 'error', from, to })

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    // Outside the domain
    room('boot-stands-alone', { path: '^src/cli/boot\\.mjs$' }, []),
    never('boot-uses-node-only', { path: '^src/cli/boot\\.mjs$' }, { dependencyTypesNot: ['core'] }),
    room('consumer-stands-alone', { path: '^src/consumer/' }, ['^src/consumer/']),
    never(
      'consumer-uses-svix-only',
      { path: '^src/consumer/' },
      { pathNot: ['^src/consumer/', '(^|/)node_modules/svix/'], dependencyTypesNot: ['core'] },
    ),
    room('graphql', { path: '^src/graphql/', pathNot: builder }, ['^src/graphql/', platform, door('index|ports|graphql[a-z-]*')]),
    room('graphql-builder', { path: builder }, [builder, platform, generated]),
    room('rest', { path: '^src/rest/' }, ['^src/rest/', platform, door('index|ports')]),
    never(
      'rest-dialects-apart',
      { path: '^src/rest/(?!core/)([^/]+)/' },
      { path: '^src/rest/[^/]+/', pathNot: ['^src/rest/$1/', '^src/rest/core/'] },
    ),
    never('rest-core-knows-no-dialect', { path: '^src/rest/core/' }, { path: '^src/rest/', pathNot: '^src/rest/core/' }),
    room('s3', { path: '^src/s3/' }, ['^src/s3/', platform, door('index|ports')]),
    room('jobs', { path: '^src/jobs/' }, ['^src/jobs/', platform]),
    room('drivers', { path: '^src/drivers/([^/]+)/' }, ['^src/drivers/$1/', platform, door('ports')]),
    never('ports-are-types', { path: '^src/(drivers|graphql|rest|s3|jobs)/' }, { path: door('ports'), dependencyTypesNot: ['type-only'] }),
    room('platform-db', { path: '^src/platform/db/' }, ['^src/platform/db/', generated]),
    room('platform', { path: platform, pathNot: '^src/platform/db/' }, [platform]),

    // The domain
    room('concept-face', { path: face }, ['^src/domain/', builder, platform, generated]),
    room('concept', { path: '^src/domain/[^/]+/', pathNot: face }, ['^src/domain/', platform, generated]),
    never('concept-below-its-face', { path: '^src/domain/', pathNot: face }, { path: face }),
    never(
      'concept-face-by-the-front-doors',
      { path: '^src/domain/([^/]+/[^/]+)/graphql[a-z-]*\\.ts$' },
      { path: '^src/domain/', pathNot: ['^src/domain/$1/', door('index|graphql')] },
    ),
    never(
      'concept-by-the-front-door',
      { path: '^src/domain/([^/]+/[^/]+)/', pathNot: `${concept}/(graphql[a-z-]*|ports)\\.ts$` },
      { path: '^src/domain/', pathNot: ['^src/domain/$1/', door('index')] },
    ),
    // A port may use types of an earlier port. Importing its index.ts instead would make every driver depend on the whole concept.
    never(
      'port-by-ports',
      { path: '^src/domain/([^/]+/[^/]+)/ports\\.ts$' },
      { path: '^src/domain/', pathNot: ['^src/domain/$1/', door('index|ports')] },
    ),
    never(
      'generated-types-only',
      { path: '^src/', pathNot: ['^src/platform/db/', builder, generated] },
      { path: generated, dependencyTypesNot: ['type-only'] },
    ),
    never('known-concept', { path: ours }, { path: '^src/domain/', pathNot: `^src/domain/(index\\.ts$|(${concepts.join('|')})/)` }),
    never('concepts-by-the-root', { path: '^src/', pathNot: ['^src/cli/'] }, { path: '^src/domain/index\\.ts$' }),
    ...concepts
      .slice(0, -1)
      .map((name, index) =>
        never(
          `order-of-${name.replace('/', '-')}`,
          { path: `^src/domain/${name}/` },
          { path: `^src/domain/(${concepts.slice(index + 1).join('|')})/` },
        ),
      ),

    // Everywhere
    never(
      'database-by-platform-db',
      { path: '^src/', pathNot: ['^src/platform/db/', builder] },
      { path: ['(^|/)node_modules/(pg|@prisma/(client|adapter-pg|driver-adapter-utils|schema-engine-wasm))/', '^(pg|@prisma/client)$'] },
    ),
    // Loading the client takes tens of megabytes, so only a use of it may load it.
    never(
      'prisma-client-on-demand',
      { path: '^src/', pathNot: ['^src/platform/db/(prisma|schema-engine)\\.ts$', generated] },
      { path: ['(^|/)node_modules/@prisma/(client|adapter-pg)/', '^src/generated/prisma/client\\.ts$'], dependencyTypesNot: ['type-only'] },
    ),
    never(
      'prisma-client-by-a-dynamic-import',
      { path: '^(src|test)/' },
      { path: '^src/platform/db/prisma\\.ts$', dependencyTypesNot: ['dynamic-import'] },
    ),
    never('src-without-tests', { path: '^src/', pathNot: '^src/cli/demo' }, { path: '^test/' }),
    never('demo-with-support-only', { path: '^src/cli/demo' }, { path: '^test/', pathNot: '^test/support/' }),
    never('acceptance-is-a-black-box', { path: '^test/acceptance/' }, { path: '^src/', reachable: true }),
    never('resolvable', { path: ours }, { couldNotResolve: true }),
  ],
  options: {
    doNotFollow: { path: ['(^|/)node_modules/', generated] },
    exclude: { path: ['^test/bench/contenders/', '^test/support/apps/'] },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
