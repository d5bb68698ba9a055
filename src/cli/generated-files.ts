/**
 * The committed files that are generated from code: `npm run generate` writes them, and `npm run check` fails if one is out of date. Each is
 * one line here.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Baseline } from '../domain/webhooks/event-type/index.ts'
import type { EventDefinition } from '../platform/events.ts'

export type GeneratedFile = {
  /** Relative to the project's root. */
  path: string
  print(): Promise<string>
}

const root = dirname(dirname(import.meta.dirname))

/** The published schemas of all versions of all event types. A change that breaks one is refused. */
const baselineFile = 'src/consumer/baseline.json'

/** Runs a printer of the event catalogue with all event types. Imported dynamically, because the domain is large. */
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

/** Formats TypeScript with Biome, as the check requires. */
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
  { path: 'src/rest/auth/openapi.json', print: async () => (await import('../rest/auth/index.ts')).printOpenapi() },
  { path: 'src/rest/bridge/openapi.json', print: async () => (await import('../rest/bridge/index.ts')).printOpenapi() },
  { path: 'src/rest/ocore/openapi.json', print: async () => (await import('../rest/ocore/index.ts')).printOpenapi() },
  { path: 'src/rest/oec/openapi.json', print: async () => (await import('../rest/oec/index.ts')).printOpenapi() },
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
