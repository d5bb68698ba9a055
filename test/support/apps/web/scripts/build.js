// Prints a line per "module" so that a live build log has something to show.
const { writeFileSync, readFileSync } = require('node:fs')

const version = readFileSync('version.txt', 'utf8').trim()
for (let module = 1; module <= 20; module++) console.log(`compiling module ${module} of 20 for ${version}`)
writeFileSync('built.json', JSON.stringify({ version }))
console.error('build finished')
