// Works off an imaginary queue until it is asked to end.
let done = 0
const timer = setInterval(() => console.log(`job ${++done} done`), 200)
console.log('worker is up')
process.on('SIGTERM', () => {
  clearInterval(timer)
  console.log('worker ends')
})
