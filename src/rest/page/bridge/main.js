/** The page at /bridge: keys, guide and speed tests of the Odoo bridge, for people who are signed in. */
import { attempt, one } from '../shared/view.js'
import { showAccounts } from './account.js'
import { ask } from './api.js'
import { offerCopies } from './copy.js'
import { allowCreation, offerCreation, showKeys } from './keys.js'
import { offerTests, showTests } from './speed-test.js'

/** Removes the buttons for which the person lacks a permission. @param {Set<string>} permissions */
function keepAllowed(permissions) {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-requires]'))) {
    if (!permissions.has(/** @type {string} */ (button.dataset.requires))) button.remove()
  }
}

async function start() {
  offerCopies(one(document, '#guide'))
  const account = one(document, '#account')
  await attempt(account, async () => {
    const { viewer } = await ask('{ viewer { organization { name } permissions } }')
    one(document, '#organization').textContent = viewer.organization.name
    const permissions = new Set(viewer.permissions)
    keepAllowed(permissions)
    offerCreation()
    offerTests()
    // Each loads by itself, so that a failure of one leaves the others usable.
    const keys = attempt(one(document, '#keys'), () => showKeys(permissions.has('manage:api_keys')))
    await showAccounts(() => {
      allowCreation()
      return attempt(one(document, '#history'), showTests)
    })
    await keys
  })
}

await start()
