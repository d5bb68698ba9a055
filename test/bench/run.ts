/** `npm run bench -- <scenario>`: runs a scenario, one of the files of this folder, prints its table and writes its figures as JSON. */
import { readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The measurements of a scenario. */
export type BenchResult = { scenario: string; rows: Record<string, string | number>[]; passed: boolean }

const name = (process.argv[2] ?? '').toLowerCase()
const scenarios = readdirSync(import.meta.dirname).flatMap((entry) => /^(?!run\.)([a-z]+\d*)\.ts$/.exec(entry)?.[1] ?? [])
if (!scenarios.includes(name)) {
  console.error(`Usage: npm run bench -- ${scenarios.join(' | ')}`)
  process.exit(2)
}
const { default: bench } = (await import(join(import.meta.dirname, `${name}.ts`))) as { default: () => Promise<BenchResult> }
const result = await bench()
console.table(result.rows)
const folder = join(tmpdir(), 'quayside-bench')
await mkdir(folder, { recursive: true })
await writeFile(join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`)
console.log(`${result.scenario}: ${result.passed ? 'reached' : 'MISSED'}. Written to ${join(folder, `${name}.json`)}`)
if (!result.passed) process.exitCode = 1
