;; Four registers into four values. The output is laid out once, at 1024, and only the numbers in it
;; change. A batch is the same output behind an ITEM section for each input, at 4096.
(module
  (memory (export "memory") 3)
  ;; 0x01, MESSAGE, length 57: no device, no time, no tags, 4 values: name of 1 byte, i64
  (data (i32.const 1024)
    "\01\01\39\00\00\00\00\00\00\00\00\00\00\00\80\00\00\04\00"
    "\01a\02\00\00\00\00\00\00\00\00\01b\02\00\00\00\00\00\00\00\00"
    "\01c\02\00\00\00\00\00\00\00\00\01d\02\00\00\00\00\00\00\00\00")
  (global $top (mut i32) (i32.const 65536))
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param $len i32) (result i32)
    (global.get $top)
    (global.set $top (i32.and (i32.add (i32.add (global.get $top) (local.get $len)) (i32.const 7))
      (i32.const -8)))
    (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.const 2))))))
  (func (export "dealloc") (param $ptr i32) (param i32) (global.set $top (local.get $ptr)))
  ;; puts the four registers at $ptr, highest byte first, into the section at $out
  (func $fill (param $ptr i32) (param $out i32) (local $r i32)
    (local.set $r (i32.load16_u offset=0 (local.get $ptr)))
    (i64.store offset=21 (local.get $out) (i64.extend_i32_u (i32.and (i32.const 0xffff)
      (i32.or (i32.shr_u (local.get $r) (i32.const 8)) (i32.shl (local.get $r) (i32.const 8))))))
    (local.set $r (i32.load16_u offset=2 (local.get $ptr)))
    (i64.store offset=32 (local.get $out) (i64.extend_i32_u (i32.and (i32.const 0xffff)
      (i32.or (i32.shr_u (local.get $r) (i32.const 8)) (i32.shl (local.get $r) (i32.const 8))))))
    (local.set $r (i32.load16_u offset=4 (local.get $ptr)))
    (i64.store offset=43 (local.get $out) (i64.extend_i32_u (i32.and (i32.const 0xffff)
      (i32.or (i32.shr_u (local.get $r) (i32.const 8)) (i32.shl (local.get $r) (i32.const 8))))))
    (local.set $r (i32.load16_u offset=6 (local.get $ptr)))
    (i64.store offset=54 (local.get $out) (i64.extend_i32_u (i32.and (i32.const 0xffff)
      (i32.or (i32.shr_u (local.get $r) (i32.const 8)) (i32.shl (local.get $r) (i32.const 8))))))
  )
  (func (export "decode") (param i32 i32) (param $ptr i32) (param $len i32) (result i64)
    (if (i32.lt_u (local.get $len) (i32.const 8)) (then (return (i64.const 0))))
    (call $fill (local.get $ptr) (i32.const 1025))
    ;; borrowed, at 1024, 63 bytes
    (i64.const 0x800004000000003f))
  (func (export "decode_batch") (param i32 i32) (param $ptr i32) (param $len i32) (result i64)
    (local $count i32) (local $index i32) (local $out i32) (local $size i32)
    (local.set $count (i32.load (local.get $ptr)))
    (local.set $ptr (i32.add (local.get $ptr) (i32.const 4)))
    (local.set $out (i32.const 4097))
    (i32.store8 (i32.const 4096) (i32.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $index) (local.get $count)))
        (local.set $size (i32.load (local.get $ptr)))
        (local.set $ptr (i32.add (local.get $ptr) (i32.const 4)))
        ;; ITEM, 4 bytes, index
        (i32.store8 (local.get $out) (i32.const 6))
        (i32.store offset=1 (local.get $out) (i32.const 4))
        (i32.store offset=5 (local.get $out) (local.get $index))
        (local.set $out (i32.add (local.get $out) (i32.const 9)))
        (if (i32.ge_u (local.get $size) (i32.const 8))
          (then
            (memory.copy (local.get $out) (i32.const 1025) (i32.const 62))
            (call $fill (local.get $ptr) (local.get $out))
            (local.set $out (i32.add (local.get $out) (i32.const 62)))))
        (local.set $ptr (i32.add (local.get $ptr) (local.get $size)))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (i64.or (i64.const 0x8000100000000000)
      (i64.extend_i32_u (i32.sub (local.get $out) (i32.const 4096))))))
