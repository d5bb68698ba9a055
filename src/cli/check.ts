/** `npm run check`: all static checks. Prints one line for each step, and the problems at the end. */
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkEnvironmentReads } from './environment-wall.ts'
import { generatedFiles } from './generated-files.ts'
import { checkImports } from './import-walls.ts'
import { findDrift } from './migration.ts'
import { lintOpenapi } from './openapi-lint.ts'
import { startScratchPostgres } from './scratch-postgres.ts'

const root = dirname(dirname(import.meta.dirname))

/** A step returns one line for each problem; it passes if there is none. An exception counts as a problem. */
type Step = { name: string; run(): Promise<string[]> }

const steps: Step[] = [
  { name: 'format and lint', run: () => program('@biomejs/biome/bin/biome', ['check', '--max-diagnostics=50']) },
  { name: 'types', run: () => program('typescript/bin/tsc', ['-p', '.', '--pretty', 'false']) },
  { name: 'types of the pages', run: () => program('typescript/bin/tsc', ['-p', 'src/rest/page', '--pretty', 'false']) },
  { name: 'imports', run: () => checkImports(root) },
  { name: 'environment reads', run: () => checkEnvironmentReads(root) },
  { name: 'generated files', run: findStale },
  { name: 'OpenAPI documents', run: lintDocuments },
  { name: 'migrations match models', run: compareMigrations },
]

/** Runs a tool of node_modules. If it fails, its output is the problem. */
function program(path: string, args: string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'node_modules', path), ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes) => {
        output += bytes
      })
    }
    child.once('error', reject)
    child.once('close', (code) => resolve(code === 0 ? [] : [`${output.trim()}\n(exited with code ${code})`]))
  })
}

async function findStale(): Promise<string[]> {
  const answers = generatedFiles.map(async ({ path, print }) => {
    const committed = await readFile(join(root, path), 'utf8').catch(() => null)
    return committed === (await print()) ? [] : [`${path} is ${committed === null ? 'missing' : 'stale'}: run npm run generate`]
  })
  return (await Promise.all(answers)).flat()
}

async function lintDocuments(): Promise<string[]> {
  const paths = generatedFiles.map(({ path }) => path).filter((path) => path.endsWith('openapi.json'))
  const problems = await Promise.all(paths.map(async (path) => lintOpenapi(path, await readFile(join(root, path), 'utf8'))))
  return problems.flat()
}

async function compareMigrations(): Promise<string[]> {
  const postgres = await startScratchPostgres()
  try {
    const drift = await findDrift(postgres.url, join(root, 'prisma'))
    return drift.length === 0 ? [] : ['- only in the migrations, + only in the models (npm run generate -- migration <name>)', ...drift]
  } finally {
    await postgres.end()
  }
}

const results = steps.map(async ({ name, run }) => {
  const start = performance.now()
  const problems = await run().catch((error: Error) => [error.stack ?? String(error)])
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)`)
  return { name, problems }
})
const failed = (await Promise.all(results)).filter(({ problems }) => problems.length > 0)
for (const { name, problems } of failed) console.log(`\n${name}\n${problems.join('\n')}`)

const counts = { passed: steps.length - failed.length, failed: failed.length }
console.log(`\ncheck: ${counts.passed} passed, ${counts.failed} failed`)
const [option, path] = process.argv.slice(2)
if (option === '--json' && path !== undefined) await writeFile(path, JSON.stringify(counts))
process.exitCode = failed.length === 0 ? 0 : 1
