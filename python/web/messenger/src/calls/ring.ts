/** The sound of a call that rings, made here: two soft tones, and a pause. */

const EVERY = 3000;

/** Rings until what it returns is called. Where the browser wants a touch first, it is silent. */
export function ring(tones: number[], loud: number): () => void {
  const sound = new AudioContext();
  const strike = () => {
    tones.forEach((tone, index) => {
      const begin = sound.currentTime + index * 0.22;
      const [wave, level] = [sound.createOscillator(), sound.createGain()];
      wave.frequency.value = tone;
      level.gain.setValueAtTime(0, begin);
      level.gain.linearRampToValueAtTime(loud, begin + 0.02);
      level.gain.exponentialRampToValueAtTime(0.0001, begin + 0.6);
      wave.connect(level).connect(sound.destination);
      wave.start(begin);
      wave.stop(begin + 0.65);
    });
  };
  strike();
  const timer = setInterval(strike, EVERY);
  return () => {
    clearInterval(timer);
    void sound.close().catch(() => undefined);
  };
}
