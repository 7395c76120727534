-- values: support. How many baskets have both of two items.
select a.code as a, b.code as b, cast(count(*) as bigint) as baskets
from {sold} a inner join {sold} b on b.basket = a.basket and b.code > a.code
group by a.code, b.code
having count(*) >= :support
order by a, b
