/** `npm run key [-- name]`: creates an API key with all permissions, for example if the first key was lost, and prints it once. */
import { parseArgs } from 'node:util'
import { readSettings } from '../platform/settings.ts'
import { makeKey } from './bootstrap.ts'
import { isOperatorError, openApp } from './open-app.ts'

const usage = `npm run key [-- name]

Creates an API key with all permissions and prints it once. The name describes its purpose.

Exit code 0: the key was created. 1: no organization exists yet, or the database cannot be used. 2: the arguments are not valid, and no key was created.`

/** The name of the key; null for --help. Throws TypeError if the arguments are not valid. */
function readName(): string | null {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } })
  if (values.help) return null
  const [name = 'created by npm run key', ...more] = positionals
  if (name === '' || more.length > 0) throw new TypeError('At most one name is allowed, and it must not be empty.')
  return name
}

async function make(name: string): Promise<void> {
  const { app, close } = await openApp(readSettings())
  try {
    const owner = await (await app.db.prismaClient()).member.findFirst({ where: { role: { system: 'OWNER' } }, orderBy: { id: 'asc' } })
    if (owner) {
      const { plaintextKey } = await makeKey(app, owner, name)
      console.log(`API key ${plaintextKey}`)
    } else {
      console.error('No organization exists yet. Run `npm start` to create it with its first key.')
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
    if (!isOperatorError(error)) throw error
    console.error(error.message)
    process.exitCode = 1
  })
}
