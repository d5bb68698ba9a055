/**
 * The files that are printed from code and committed: `npm run generate` writes them, `npm run check` fails when one is stale.
 * A new one is a line here.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Baseline } from '../domain/webhooks/event-type/index.ts'
import type { EventDefinition } from '../platform/events.ts'

export type GeneratedFile = {
  /** From the project's root. */
  path: string
  print(): Promise<string>
}

const root = dirname(dirname(import.meta.dirname))

/** What receivers of webhooks were told of each version of each event type; what breaks it is not printed but refused. */
const baselineFile = 'src/consumer/baseline.json'

/** What the printers of the catalogue make of all event types. Loaded here alone, because the domain is large. */
async function printed(
  print: (
    printers: typeof import('../domain/webhooks/event-type/index.ts') & { types: readonly EventDefinition[] },
  ) => string | Promise<string>,
) {
  const [printers, { concepts }, { assemble }] = await Promise.all([
    import('../domain/webhooks/event-type/index.ts'),
    import('../domain/index.ts'),
    import('../platform/concept.ts'),
  ])
  return print({ ...printers, types: assemble(concepts).eventTypes.all })
}

export async function readBaseline(): Promise<Baseline> {
  const text = await readFile(join(root, baselineFile), 'utf8').catch(() => '{}')
  return JSON.parse(text) as Baseline
}

/** TypeScript as the format check wants it. */
function formatted(path: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
    const child = execFile(
      process.execPath,
      [biome, 'format', '--stdin-file-path', path],
      { cwd: root, maxBuffer: 1 << 26 },
      (error, stdout) => (error ? reject(error) : resolve(stdout)),
    )
    child.stdin?.end(text)
  })
}

export const generatedFiles: GeneratedFile[] = [
  { path: 'schema.graphql', print: async () => (await import('../graphql/schema.ts')).printSchema() },
  { path: 'src/rest/platform/openapi.json', print: async () => (await import('../rest/platform/index.ts')).printOpenapi() },
  { path: 'src/consumer/catalogue.js', print: () => printed(({ printCatalogueModule, types }) => printCatalogueModule(types)) },
  {
    path: 'src/consumer/index.d.ts',
    print: () => printed(({ printTypes, types }) => formatted('src/consumer/index.d.ts', printTypes(types))),
  },
  { path: 'src/consumer/schemas.json', print: () => printed(({ printSchemas, types }) => printSchemas(types)) },
  { path: 'src/consumer/openapi.json', print: () => printed(({ printOpenapi, types }) => printOpenapi(types)) },
  {
    path: baselineFile,
    print: () =>
      printed(
        async ({ extendBaseline, catalogue, types }) =>
          `${JSON.stringify(extendBaseline(await readBaseline(), catalogue(types)), null, 2)}\n`,
      ),
  },
  { path: 'README.md', print: async () => (await import('./readme.ts')).printReadme() },
]
