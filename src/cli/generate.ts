/** `npm run generate` writes the generated files (boot.mjs has generated the Prisma client); `-- migration <name>` writes a migration. */
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { generatedFiles } from './generated-files.ts'
import { writeMigration } from './migration.ts'
import { startScratchPostgres } from './scratch-postgres.ts'

const root = dirname(dirname(import.meta.dirname))
const [command, name] = process.argv.slice(2)

if (command === undefined) {
  for (const { path, print } of generatedFiles) {
    const text = await print()
    const former = await readFile(join(root, path), 'utf8').catch(() => null)
    if (text !== former) await writeFile(join(root, path), text)
    console.log(`${path} ${text === former ? 'is up to date' : 'written'}`)
  }
} else if (command === 'migration' && name !== undefined) {
  const postgres = await startScratchPostgres()
  try {
    const folder = await writeMigration(postgres.url, join(root, 'prisma'), name, new Date())
    console.log(folder === null ? 'The models and constraints have not changed since the last migration.' : `prisma/migrations/${folder}`)
  } finally {
    await postgres.end()
  }
} else {
  console.error('Usage: npm run generate [-- migration <name>]')
  process.exitCode = 2
}
