/** `npm run key [-- name]`: makes an API key with all rights for an installation whose first key is lost. Prints it once. */
import { readSettings } from '../platform/settings.ts'
import { makeKey } from './bootstrap.ts'
import { openApp } from './open-app.ts'

const { app, close } = await openApp(readSettings())
try {
  const owner = await app.db.prisma.member.findFirst({ where: { role: 'OWNER' }, orderBy: { id: 'asc' } })
  if (owner) {
    const { plaintextKey } = await makeKey(app, owner, process.argv[2] ?? 'made at the console')
    console.log(`API key ${plaintextKey}`)
  } else {
    console.error('There is no organization yet. `npm start` makes one, with its first key.')
    process.exitCode = 1
  }
} finally {
  await close()
}
