/** `npm run key [-- name]`: makes an API key with all rights for an installation whose first key is lost. Prints it once. */
import { parseArgs } from 'node:util'
import { readSettings } from '../platform/settings.ts'
import { makeKey } from './bootstrap.ts'
import { isForPerson, openApp } from './open-app.ts'

const usage = `npm run key [-- name]

Makes an API key with all rights and prints it once. The name says what it is for.

Exit code 0: it was made. 1: there is no organization yet, or the database cannot be used. 2: the call was wrong, and nothing was made.`

/** The key's name; null when help was asked for. Throws TypeError. */
function readName(): string | null {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } })
  if (values.help) return null
  const [name = 'made at the console', ...more] = positionals
  if (name === '' || more.length > 0) throw new TypeError('Give one name, or none.')
  return name
}

async function make(name: string): Promise<void> {
  const { app, close } = await openApp(readSettings())
  try {
    const owner = await app.db.prisma.member.findFirst({ where: { role: 'OWNER' }, orderBy: { id: 'asc' } })
    if (owner) {
      const { plaintextKey } = await makeKey(app, owner, name)
      console.log(`API key ${plaintextKey}`)
    } else {
      console.error('There is no organization yet. `npm start` makes one, with its first key.')
      process.exitCode = 1
    }
  } finally {
    await close()
  }
}

let name: string | null | undefined
try {
  name = readName()
} catch (error) {
  console.error(`${(error as Error).message}\n\n${usage}`)
  process.exitCode = 2
}
if (name === null) console.log(usage)
else if (name !== undefined) {
  await make(name).catch((error) => {
    if (!isForPerson(error)) throw error
    console.error(error.message)
    process.exitCode = 1
  })
}
